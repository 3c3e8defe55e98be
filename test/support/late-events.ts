import fc from 'fast-check'
import { type Row, remove, upsert } from '../../shared/core/change.ts'
import type { ScriptedTable } from './scripted-source.ts'
import { columns, IDS, type Step } from './sync-model.ts'

/**
 * What a source tells, in any order: an event of a lower `seq` comes late, and one of a `seq` told before is told again
 * word for word. Deletes have a sequence as well.
 */
export interface Event {
  id: number
  seq: number
  name: string | null
  kind: 'put' | 'delete' | 'move' | 'truncate'
}

const event: fc.Arbitrary<Event> = fc.record({
  id: fc.constantFrom(...IDS),
  seq: fc.integer({ min: 1, max: 12 }),
  name: fc.constantFrom('a', 'b', null),
  kind: fc.constantFrom(
    'put' as const,
    'put' as const,
    'put' as const,
    'delete' as const,
    'move' as const,
    'truncate' as const,
  ),
})
export const steps: fc.Arbitrary<Step<Event>[]> = fc.array(
  fc.record({
    changes: fc.array(event, { maxLength: 6 }),
    grows: fc.boolean(),
    meanwhile: fc.array(event, { maxLength: 3 }),
    at: fc.integer({ min: 1, max: 8 }),
    // It forgets the deletes before it: which late changes count then depends on where the run before it died.
    fullRefresh: fc.constant(false),
    crash: fc.integer({ min: 1, max: 300 }),
  }),
  { minLength: 1, maxLength: 4 },
)

/** One transaction. What is told first of a key's `seq` is what it was. */
export function tell(table: ScriptedTable, { id, seq, name, kind }: Event): void {
  const put = (row: Row) => {
    const grown = table.schema.fields.length > columns.length && { extra: `${name}+` }
    return toldBefore(table, row) ?? upsert({ ...row, name, ...grown })
  }
  const gone = (row: Row) => toldBefore(table, row) ?? remove(row)
  const next = (id % IDS.length) + 1
  if (kind === 'put') table.history.push([put({ id, seq })])
  if (kind === 'delete') table.history.push([gone({ id, seq })])
  if (kind === 'move') table.history.push([gone({ id, seq }), put({ id: next, seq })])
  if (kind === 'truncate') table.history.push(IDS.map((each) => gone({ id: each, seq })))
}

const toldBefore = ({ history }: ScriptedTable, { id, seq }: Row) =>
  history.flat().find((each) => {
    const row = each.op === 'upsert' ? each.row : each.key
    return row.id === id && row.seq === seq
  })
