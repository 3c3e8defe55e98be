import type { Sessions } from './session.ts'

/** The open transactions that hold a lock under which rows of a table are written. Every user may see locks. */
export async function writersOf(
  sessions: Sessions,
  table: { oid: number; schema: string; name: string },
): Promise<string[]> {
  const rows = await sessions.query<{ writer: string }>(
    `look for writers of ${table.schema}.${table.name}`,
    `select distinct l.virtualtransaction as writer from pg_locks l
     where l.locktype = 'relation' and l.database = (select oid from pg_database where datname = current_database())
       and (l.relation = $1::oid or l.relation in (select relid from pg_partition_tree($1::oid)))
       and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') and l.granted`,
    [table.oid],
  )
  return rows.map(({ writer }) => writer).sort()
}
