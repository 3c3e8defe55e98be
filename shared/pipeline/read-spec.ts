import type { z } from 'zod'
import { IngestError } from '../core/errors.ts'
import { describeIssues } from './describe-issue.ts'
import { ignoredReason } from './ignored.ts'
import { parseRowFilter } from './row-filter.ts'
import { scheduleOf } from './schedule.ts'
import { childSchema } from './schema-walk.ts'
import { Spec } from './spec.ts'
import { YamlText } from './yaml-text.ts'

/** A configuration file that was understood. */
export interface ReadSpec {
  spec: Spec
  /** What was accepted and does nothing, each with its line. For people. */
  notes: readonly string[]
  /** The file as text with positions, for messages about what is checked later. */
  text: YamlText
}

/**
 * Reads the text of a `lakeflow.yml`. `file` is its name for messages.
 *
 * @throws IngestError `config.invalid` (fix): every problem on a line of its own, as `file:line: what`
 */
export function readSpec(source: string, file: string): ReadSpec {
  const text = new YamlText(source, file)
  const parsed = Spec.safeParse(text.value, { reportInput: true })
  const problems = parsed.success
    ? [...checkNames(parsed.data, text), ...checkSchedules(parsed.data, text), ...checkFilters(parsed.data, text)]
    : describeIssues(parsed.error.issues, Spec, text)
  if (problems.length > 0 || !parsed.success) throw new IngestError('config.invalid', problems.join('\n'))
  return { spec: parsed.data, notes: notesOf(Spec, text.value, [], text), text }
}

/** References between the parts of the file. */
function checkNames(spec: Spec, text: YamlText): string[] {
  const connections = Object.keys(spec.connections ?? {})
  return Object.entries(spec.pipelines ?? {}).flatMap(([name, pipeline]) => {
    const wanted = pipeline.ingestion_definition.connection_name
    if (connections.includes(wanted)) return []
    const path = ['pipelines', name, 'ingestion_definition', 'connection_name']
    return [text.problem(path, `there is no connection ${wanted}${text.suggest(wanted, connections)}`)]
  })
}

function checkSchedules(spec: Spec, text: YamlText): string[] {
  return Object.entries(spec.pipelines ?? {}).flatMap(([name, pipeline]) => {
    try {
      scheduleOf(pipeline)
      return []
    } catch (error) {
      const key = pipeline.schedule ? 'schedule' : 'trigger'
      return [text.problem(['pipelines', name, key], (error as Error).message)]
    }
  })
}

/** Row filters are parsed here so that a typo is found before anything is read. */
function checkFilters(value: unknown, text: YamlText, path: readonly PropertyKey[] = []): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, item]) => {
    const at = [...path, Array.isArray(value) ? Number(key) : key]
    const isFilter = key === 'row_filter' || key === 'deletion_condition'
    if (!isFilter || typeof item !== 'string') return checkFilters(item, text, at)
    try {
      parseRowFilter(item)
      return []
    } catch (error) {
      return [text.problem(at, (error as Error).message)]
    }
  })
}

function notesOf(schema: z.ZodType, value: unknown, path: readonly PropertyKey[], text: YamlText): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, item]) => {
    const at = [...path, Array.isArray(value) ? Number(key) : key]
    const child = childSchema(schema, at.at(-1)!)
    if (!child) return []
    const reason = ignoredReason(child)
    return reason ? [text.problem(at, `${key} has no effect here: ${reason}`)] : notesOf(child, item, at, text)
  })
}
