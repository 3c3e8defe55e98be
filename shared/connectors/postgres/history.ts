import { IngestError } from '../../core/errors.ts'
import type { LogCursor } from './log-cursor.ts'
import { rewritten } from './shape.ts'
import type { SlotStatus } from './slot.ts'
import type { Source } from './source.ts'

/** Generated columns are in the log since version 18, the stored ones. */
export function noticeGenerated({ relation, selection }: Source, version: number): void {
  const missing = relation.attributes.filter(
    ({ generated, name }) =>
      selection.columns.includes(name) && (generated === 'v' || (generated === 's' && version < 180000)),
  )
  if (missing.length > 0)
    selection.notice?.(
      `${relation.schema}.${relation.name}: the log does not carry the generated columns ${missing.map(({ name }) => name).join(', ')}; they keep the values of the first copy`,
    )
}

/** @throws IngestError `source.position_lost` (resync), `source.rewritten` (resync) */
export function requireHistory(source: Source, slot: string, after: LogCursor, status: SlotStatus): void {
  const { relation } = source
  const lost = (reason: string) => {
    throw new IngestError(
      'source.position_lost',
      `changes of ${relation.schema}.${relation.name} are missing: ${reason}`,
    )
  }
  if (status.system !== after.system) lost('this is another database cluster than the one read before')
  if (status.confirmed === undefined) lost(`there is no replication slot ${slot} any more`)
  if (status.lost)
    lost(`the replication slot ${slot} fell too far behind, and the server removed its log (max_slot_wal_keep_size)`)
  if (status.confirmed! > after.lsn)
    lost(`the replication slot ${slot} was moved or made anew behind the place read last`)
  if (after.table !== relation.oid)
    throw new IngestError(
      'source.rewritten',
      `${relation.schema}.${relation.name} was dropped and made anew: it is copied again`,
    )
  if (status.published !== after.published)
    lost(
      `the table is ${status.published === undefined ? 'not published any more' : 'published anew, and was not for a while'}`,
    )
  if (status.current < after.lsn)
    lost('the server is behind the place read last: it was restored, or another took over')
  const reason = rewritten(after.shape, relation.attributes)
  if (reason)
    throw new IngestError('source.rewritten', `${reason} in ${relation.schema}.${relation.name}: it is copied again`)
}
