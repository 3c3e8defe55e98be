import { comparePlace } from '../../connector/sql/order.ts'
import { fromText } from '../../connector/sql/values.ts'
import type { Message, Row } from '../../core/change.ts'
import { JsonText } from '../../core/json.ts'
import { dialect } from './dialect.ts'
import { naming, type Source } from './source.ts'

/** The row of a key as it is now; undefined when it is gone or does not pass the filter. */
export async function lookUp(source: Source, key: Row): Promise<Extract<Message<never>, { op: 'upsert' }> | undefined> {
  const list = source.selected.map(
    (column, index) => `(${column.read(dialect.identifier(column.name))})::text as c${index}`,
  )
  const place = source.key.map(({ name }) => textOf(key[name]))
  const conditions = [
    ...source.key.map((column, index) => comparePlace([column], '>=', [place[index]!], dialect)),
    ...source.key.map((column, index) => comparePlace([column], '<=', [place[index]!], dialect)),
    ...source.conditions,
  ]
  const [found] = await source.sessions.query<Record<string, string | null>>(
    naming('look up a row of', source),
    `select ${list.join(', ')} from ${source.from} where ${conditions.join(' and ')}`,
  )
  if (!found) return undefined
  const row = Object.fromEntries(
    source.selected.map(({ name, type }, index) => {
      const text = found[`c${index}`] ?? null
      return [name, text === null ? null : type.kind === 'variant' ? new JsonText(text) : fromText(text, type)]
    }),
  )
  return { op: 'upsert', row }
}

const textOf = (value: unknown) => (Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : String(value))
