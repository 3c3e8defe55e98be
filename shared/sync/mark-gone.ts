import type { Clock } from '../core/clock.ts'
import type { Random } from '../core/random.ts'
import { commit } from '../delta/commit.ts'
import { setProperties } from '../delta/evolve.ts'
import { readSnapshot } from '../delta/snapshot.ts'
import { tableRoot } from '../delta/table-root.ts'
import { withoutSchema } from '../load/target.ts'
import type { KnownTables } from '../state/known-tables.ts'
import type { Storage } from '../storage/storage.ts'

/** The table property that says since when the source does not have the table. */
const GONE_SINCE = 'lakeflow.sourceGoneSince'

/** Marks the tables whose source is gone, and takes the mark from those that have it again. They stay as they are. */
export async function markGone(
  { tables }: KnownTables,
  streams: readonly string[],
  ports: { storage: Storage; clock: Clock; random: Random },
): Promise<void> {
  for (const stream of streams) {
    const known = tables[stream]
    const [catalog = '', schema = '', ...rest] = stream.split('.')
    const root = tableRoot({ catalog, schema, table: rest.join('.') })
    const wanted = known?.goneSinceMs === undefined ? null : new Date(known.goneSinceMs).toISOString()
    for (;;) {
      const snapshot = await readSnapshot(ports.storage, root)
      if (!snapshot || (snapshot.metadata.configuration[GONE_SINCE] ?? null) === wanted) break
      const change = withoutSchema(setProperties(snapshot, { [GONE_SINCE]: wanted }))
      const operation = wanted ? 'SET TBLPROPERTIES' : 'UNSET TBLPROPERTIES'
      await commit(
        snapshot,
        { operation, operationParameters: { properties: { [GONE_SINCE]: wanted } }, ...change, reads: 'table' },
        ports,
      )
    }
  }
}
