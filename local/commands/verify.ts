import { type VerifiedTable, verifyPipeline } from '../../shared/control/verify.ts'
import { IngestError } from '../../shared/core/errors.ts'
import type { Command } from '../command.ts'
import { count } from '../numbers.ts'

export const verify: Command = {
  name: 'verify',
  summary: 'Compare the tables of a pipeline with their source, value by value.',
  arguments: [
    { name: 'pipeline', required: true },
    { name: 'table', required: false },
  ],
  options: {
    sample: {
      kind: 'text',
      value: 'ranges',
      describe:
        'Only so many random ranges of keys of each table, of about 10,000 rows: for tables too big to read whole.',
    },
  },
  details:
    'Reads both sides whole and changes nothing; ends with 1 when something differs. What the source changed since the\nlast run differs as well, so verify right after a run, or while the source is quiet. Of a history the open versions\nare compared; a table that is only added to must hold every row of the source. Where values differ, the table is read\nonce more for the keys of the rows.',
  examples: [
    { command: 'lakeflow verify shop', what: 'Every table of the pipeline.' },
    { command: 'lakeflow verify shop orders', what: 'One of them.' },
    { command: 'lakeflow verify shop --sample 20', what: 'Twenty parts of each.' },
  ],
  async run({ arguments: { pipeline, table }, options, output, open, signal }) {
    const text = options.text('sample')
    const sample = text === undefined ? undefined : Number(text)
    if (sample !== undefined && !(Number.isInteger(sample) && sample > 0 && sample <= 1000))
      throw new IngestError('usage.invalid', `--sample is a number of ranges from 1 to 1000, got ${text}`)
    const request = {
      pipeline: pipeline!,
      ...(table !== undefined && { tables: [table] }),
      ...(sample !== undefined && { sample }),
      signal,
    }
    const all: VerifiedTable[] = []
    await verifyPipeline(await open(), request, (verified) => {
      all.push(verified)
      if (output.json) output.record({ ...verified })
      else for (const line of linesOf(verified)) output.line(line)
    })
    const different = all.filter(({ outcome }) => outcome === 'different').length
    const skipped = all.filter(({ outcome }) => outcome === 'not compared').length
    const aside = skipped > 0 ? `, ${skipped} not compared` : ''
    if (!output.json) output.line(`${all.length - different - skipped} equal, ${different} different${aside}`)
    return different > 0 ? 1 : 0
  },
}

const WORDS = { equal: 'equal     ', different: 'DIFFERENT ', 'not compared': 'skipped   ' } as const

function linesOf({ table, source, outcome, version, rows, findings, keys }: VerifiedTable): string[] {
  const size = rows ? `  ${count(rows.source)} rows, version ${version}` : ''
  const lines = [`${WORDS[outcome]}${table}  from ${source}${outcome === 'equal' ? size : ''}`]
  for (const finding of findings) lines.push(`  ${finding}`)
  if (!keys) return lines
  const { onlyInSource, onlyInTable, otherValues, setAside, examples } = keys
  lines.push(
    `  rows only in the source: ${count(onlyInSource)}, only in the table: ${count(onlyInTable)}, with other values: ${count(otherValues)}`,
  )
  if (setAside > 0) lines.push(`  in the quarantine: ${count(setAside)}; lakeflow replay applies them once they fit`)
  if (examples.length > 0) lines.push(`  such as ${examples.join('; ')}`)
  return lines
}
