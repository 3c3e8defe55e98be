import { IngestError } from '../../core/errors.ts'
import type { LogPlace } from './log-place.ts'
import { endOfLog } from './log-reader.ts'
import { rowsOf } from './session.ts'
import type { Source } from './source.ts'

/**
 * A place in the log up to which every transaction can be seen by a query that begins later. The end of the log is not
 * one: a transaction is written to the log before it is committed, and a query in between does not see it.
 */
export async function headOfLog(source: Source): Promise<LogPlace> {
  const { sessions, server } = source
  await requireNoPrepared(source)
  if (server.snapshotTellsPosition) return snapshotPlace(source)
  if (server.gtid === 'sets') {
    // The server adds a transaction to the set when it is committed.
    const [row] = await sessions.query<{ executed: string }>(
      'read the place in the log',
      'select @@global.gtid_executed as executed',
    )
    return { kind: 'sets', text: row!.executed.replace(/\s/g, '') }
  }
  return lockedPlace(source)
}

/** The snapshot and its place in the log are taken at one moment. */
function snapshotPlace({ sessions, server }: Source): Promise<LogPlace> {
  return sessions.with('read the place in the log', async (client) => {
    await rowsOf(client, 'start transaction with consistent snapshot')
    const status = await rowsOf<{ Variable_name: string; Value: string }>(
      client,
      `show status like 'binlog_snapshot_%'`,
    )
    const value = (name: string) => status.find((row) => row.Variable_name.toLowerCase() === name)?.Value ?? ''
    const [file, offset] = [value('binlog_snapshot_file'), value('binlog_snapshot_position')]
    const [row] = await rowsOf<{ gtid: string | null }>(client, 'select binlog_gtid_pos(?, ?) as gtid', [
      file,
      Number(offset),
    ])
    await rowsOf(client, 'rollback')
    if (file === '')
      throw new IngestError('source.unavailable', 'the server does not tell the place of a snapshot in its log')
    if (server.gtid === 'none') return { kind: 'file', text: `${file}:${offset}`, server: server.identity }
    return { kind: 'domains', text: row?.gtid ?? '' }
  })
}

/** A writer of the table keeps its lock until its rows can be seen: under ours, nobody of the log is still on the way. */
function lockedPlace({ sessions, server, relation, from }: Source): Promise<LogPlace> {
  return sessions.with(
    `lock ${relation.schema}.${relation.name} for a moment, to read the place in the log`,
    async (client) => {
      await rowsOf(client, 'set session lock_wait_timeout = 10')
      await rowsOf(client, `lock tables ${from} read`)
      try {
        const { file, offset } = await endOfLog(client, server.statusStatement)
        return { kind: 'file', text: `${file}:${offset}`, server: server.identity }
      } finally {
        await rowsOf(client, 'unlock tables')
      }
    },
  )
}

/** Says which rules of the engine change rows of the table without a word in the log. */
export async function noticeCascades({ sessions, relation, selection, name }: Source): Promise<void> {
  if (!selection.notice) return
  const rules = await sessions.query<{ name: string }>(
    `look for foreign keys of ${name}`,
    `select constraint_name as name from information_schema.referential_constraints
     where constraint_schema = ? and table_name = ? and (delete_rule in ('CASCADE', 'SET NULL') or update_rule in ('CASCADE', 'SET NULL'))`,
    [relation.schema, relation.name],
  )
  if (rules.length > 0)
    selection.notice(
      `${name} has rows deleted or changed by foreign keys (${rules.map((rule) => rule.name).join(', ')}), which the log does not tell of: delete them by statements, or read the table by snapshot`,
    )
}

/** A prepared transaction is in the log already, and no query sees its rows until it is committed. */
async function requireNoPrepared({ sessions, name }: Source): Promise<void> {
  let prepared: object[] = []
  try {
    prepared = await sessions.query('look for prepared transactions', 'xa recover')
  } catch (error) {
    // MySQL 8 asks for a right of its own. Without it, nobody can tell.
    if (!(error instanceof IngestError) || error.code !== 'source.permission_denied') throw error
  }
  if (prepared.length > 0)
    throw new IngestError(
      'source.unavailable',
      `${prepared.length} prepared transactions (XA) are open; the copy of ${name} begins when they are committed or rolled back`,
    )
}

/** @throws IngestError `source.position_lost` (resync) where the server itself would not say it */
export async function requireHistory({ sessions, server, name }: Source, place: LogPlace): Promise<void> {
  const lost = (reason: string) => {
    throw new IngestError('source.position_lost', `changes of ${name} are missing: ${reason}`)
  }
  const kind = server.gtid === 'none' ? 'file' : server.gtid
  if (place.kind !== kind) lost(`places in the log were kept by ${place.kind}, and are by ${kind} now`)
  if (place.kind === 'file' && place.server !== server.identity)
    lost('this is another server than the one read before, and its files are others')
  if (place.kind !== 'sets') return
  const [row] = await sessions.query<{ purged: string | number; known: string | number }>(
    'look for the place in the log',
    'select gtid_subset(@@global.gtid_purged, ?) as purged, gtid_subset(?, @@global.gtid_executed) as known',
    [place.text, place.text],
  )
  if (Number(row!.purged) !== 1) lost('the server has purged log that was not read yet')
  if (Number(row!.known) !== 1)
    lost('the server lacks transactions that were read: it was restored, or another took over')
}
