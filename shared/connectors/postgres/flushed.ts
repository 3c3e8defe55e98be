import type { Sessions } from './session.ts'

const askAgainMs = 20

/**
 * Waits until all that a query could see when this was called is in the log as its readers get it: on the server's disk.
 * With `synchronous_commit = off` rows are seen up to three `wal_writer_delay` before.
 */
export async function flushed(sessions: Sessions): Promise<void> {
  const { clock, signal } = sessions
  // Behind a full page, the place where the next record goes is behind the next page's header (access/xlog_internal.h):
  // 24 bytes, 40 in the first page of a file. Nothing is flushed up to there before there is such a record.
  const [row] = await sessions.query<{ written: string | null }>(
    'ask how much log is written',
    `select (place - case when place % page = (case when place % file < page then 40 else 24 end) then place % page else 0 end)::text as written
     from (select (case when pg_is_in_recovery() then null else pg_current_wal_insert_lsn() end) - '0/0'::pg_lsn as place,
       current_setting('wal_block_size')::numeric as page, (select setting::numeric from pg_settings where name = 'wal_segment_size') as file) here`,
  )
  // What a standby shows, it has read from the log.
  if (row!.written === null) return
  for (;;) {
    const [now] = await sessions.query<{ done: boolean }>(
      'wait for the log to be flushed',
      `select pg_current_wal_flush_lsn() - '0/0'::pg_lsn >= $1::numeric as done`,
      [row!.written],
    )
    if (now!.done) return
    await clock.sleep(askAgainMs, signal)
  }
}
