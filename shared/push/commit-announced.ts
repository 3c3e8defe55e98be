import type { TableSnapshot } from '../delta/table.ts'
import { type Announcement, recordsOf } from './announcement.ts'
import { openCommitter, type PushCommit, type PushCommitPorts } from './commit.ts'
import { rootOf } from './tables.ts'

/**
 * Commits announced files of one table as one version, or a few. A file that holds a record already in the table is given
 * up: its events go back to the queue, where the next flush leaves out what is committed, and its bytes are deleted. After a
 * crash anywhere the same call with the same announcements does what is left to do.
 *
 * @throws IngestError; the outcome is then unknown until it is called again
 */
export async function commitAnnounced(
  table: string,
  announcements: readonly Announcement[],
  owner: string,
  ports: PushCommitPorts,
  known?: TableSnapshot,
): Promise<PushCommit> {
  const committer = await openCommitter(table, owner, ports, known)
  const result = await committer.commit(announcements.map(({ file }) => file))
  const refused = new Set(result.refused)
  for (const announcement of announcements) {
    const { file } = announcement
    if (!refused.has(file)) continue
    const records = await recordsOf(announcement, ports.storage)
    // Without its copy the file was given up before: the copy is deleted last.
    if (records) await ports.queue.send(records)
    if (file.add) await ports.storage.delete([`${rootOf(table)}/${file.add.path}`])
  }
  await ports.storage.delete(announcements.map(({ records }) => records))
  return result
}
