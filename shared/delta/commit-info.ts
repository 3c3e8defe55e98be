import type { Storage } from '../storage/storage.ts'
import type { Action, CommitInfo } from './actions.ts'
import { commitPath } from './log-files.ts'
import { decodeActions } from './log-text.ts'

/** The actions of one commit, or undefined when there is no such version. */
export async function readCommit(storage: Storage, root: string, version: number): Promise<Action[] | undefined> {
  const path = commitPath(root, version)
  const bytes = await storage.get(path)
  return bytes && decodeActions(bytes, path)
}

export const commitInfoOf = (actions: readonly Action[]): CommitInfo | undefined => {
  for (const action of actions) if ('commitInfo' in action) return action.commitInfo
  return undefined
}

/** A version's time: its in-commit timestamp where the table has them, else when its file was written. */
export function commitTimestamp(
  configuration: Readonly<Record<string, string>> | undefined,
  info: CommitInfo | undefined,
  modifiedAtMs: number,
): number {
  return (hasInCommitTimestamps(configuration) ? info?.inCommitTimestamp : undefined) ?? modifiedAtMs
}

export const hasInCommitTimestamps = (configuration: Readonly<Record<string, string>> | undefined): boolean =>
  configuration?.['delta.enableInCommitTimestamps']?.toLowerCase() === 'true'
