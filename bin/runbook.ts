import { errorCodes, type Remedy } from '../shared/core/errors.ts'

const remedies: Record<Remedy, string> = {
  fix: 'You: the table or command stops, what was committed stays, and the cursor is kept.',
  retry: 'Nobody: it is tried again with growing pauses, from the same cursor.',
  resync: 'Nobody: the table is copied again in full, and the event log says so.',
  quarantine: 'You, later: the row is set aside with the reason, and the rest goes on.',
  report: 'The makers of this program: it stops and keeps the stack.',
}

/** The text of docs/runbook.md: an article a code, from the comments of shared/core/errors.ts given as its source. */
export function runbook(source: string): string {
  const comments = new Map(
    [...source.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*'([a-z_]+\.[a-z_]+)':/g)].map((match) => [
      match[2]!,
      match[1]!
        .replace(/^\s*\*? ?/gm, '')
        .trim()
        .replace(/\s+/g, ' '),
    ]),
  )
  const families = Map.groupBy(Object.entries(errorCodes), ([code]) => code.split('.')[0]!)
  const lines = [
    '# Runbook',
    '',
    'What every error code means and what to do about it. Written from the comments of `shared/core/errors.ts` by',
    '`npm run docs`; do not edit it by hand.',
    '',
    '| Remedy | Who acts, and what happens meanwhile |',
    '|---|---|',
    ...Object.entries(remedies).map(([remedy, text]) => `| \`${remedy}\` | ${text} |`),
  ]
  for (const [family, codes] of families) {
    lines.push('', `## ${family}`)
    for (const [code, remedy] of codes) {
      const comment = comments.get(code)
      if (comment === undefined) throw new Error(`${code} has no comment`)
      lines.push('', `<a id="${anchor(code)}"></a>`, '', `### \`${code}\``, '', comment, '', `Remedy: \`${remedy}\`.`)
    }
  }
  return `${lines.join('\n')}\n`
}

const anchor = (code: string) => code.replace(/[._]/g, '-')
