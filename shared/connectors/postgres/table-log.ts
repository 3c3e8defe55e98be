import { type LogEntries, type LogEntry, SharedLog, type SourceLog, tableId } from '../../connector/sql/shared-log.ts'
import { readLog } from './log-reader.ts'
import type { Lsn } from './lsn.ts'
import { messageKind, placeOfBegin, placeOfCommit, relationsOf } from './pgoutput.ts'
import type { Sessions } from './session.ts'

/** A slot's log by table. Places are log sequence numbers, whose order is that of their texts. */
export function slotLog(
  sessions: Sessions,
  slot: { name: string; publication: string; exclusive(): Promise<() => void> },
): SharedLog {
  const log: SourceLog = {
    contains: (place, other) => place >= other,
    async *read({ after, upto, tables }) {
      const release = await slot.exclusive()
      try {
        const known = await tablesByOid(sessions, tables)
        const range = { slot: slot.name, publication: slot.publication, from: after as Lsn, upto: upto as Lsn }
        yield* byTable(readLog(sessions, range), known, new Set(tables), range.upto)
      } finally {
        release()
      }
    },
  }
  return new SharedLog(log)
}

async function tablesByOid(sessions: Sessions, tables: readonly string[]): Promise<Map<number, string>> {
  const rows = await sessions.query<{ oid: string; schema: string; name: string }>(
    'look up the tables of the log',
    `select c.oid::int8 as oid, n.nspname as schema, c.relname as name from jsonb_array_elements($1::jsonb) t
       join pg_namespace n on n.nspname = t->>0 join pg_class c on c.relnamespace = n.oid and c.relname = t->>1`,
    [`[${tables.join(',')}]`],
  )
  return new Map(rows.map(({ oid, schema, name }) => [Number(oid), tableId({ schema, name })]))
}

/** Ends before the first transaction that was committed at `upto` or later. */
async function* byTable(
  batches: AsyncIterable<readonly Buffer[]>,
  known: Map<number, string>,
  wanted: ReadonlySet<string>,
  upto: Lsn,
): LogEntries {
  for await (const batch of batches) {
    const entries: LogEntry[] = []
    for (const bytes of batch) {
      const kind = messageKind(bytes)
      if (kind === 'begin') {
        const place = placeOfBegin(bytes)
        if (place >= upto) {
          yield [...entries, { kind: 'until', place: () => upto, more: false }]
          return
        }
        entries.push({ kind: 'begin', transaction: () => place })
      } else if (kind === 'commit') entries.push({ kind: 'end', place: () => placeOfCommit(bytes) })
      else if (kind !== 'other')
        for (const { oid, named } of relationsOf(bytes, kind)) {
          // Made anew, a table has another number: its reader finds that out.
          if (named && wanted.has(tableId(named))) known.set(oid, tableId(named))
          const table = known.get(oid)
          if (table !== undefined) entries.push({ kind: 'part', table, bytes })
        }
    }
    if (entries.length > 0) yield entries
  }
  yield [{ kind: 'until', place: () => upto, more: false }]
}
