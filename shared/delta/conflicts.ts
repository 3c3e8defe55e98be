import type { Action } from './actions.ts'
import { fileKey } from './file-path.ts'
import type { TableChange } from './table.ts'

/** What a newer version means for a change that was computed without it. */
export type Verdict = { kind: 'rebase' } | { kind: 'duplicate' } | { kind: 'conflict'; reason: string }

const conflict = (reason: string): Verdict => ({ kind: 'conflict', reason })

/**
 * Whether a change may be laid on top of a version it has not seen, from that version's actions (Delta's conflict
 * rules; docs/delta.md, "Two writers"). An appId seen again is never laid on top, whatever it did: its owner has lost
 * its lease, or this very change has been committed by an earlier try.
 */
export function judge(change: TableChange, winner: readonly Action[]): Verdict {
  const removed = new Set((change.remove ?? []).map(fileKey))
  const domains = new Set((change.domainMetadata ?? []).map(({ domain }) => domain))
  let dataChanged = false
  for (const action of winner) {
    if ('txn' in action && action.txn.appId === change.txn?.appId) {
      return action.txn.version >= change.txn.version
        ? { kind: 'duplicate' }
        : conflict(`another process committed as ${change.txn.appId}`)
    }
  }
  for (const action of winner) {
    if ('protocol' in action) return conflict('the protocol was changed')
    if ('metaData' in action) return conflict('the schema or properties were changed')
    if ('domainMetadata' in action && domains.has(action.domainMetadata.domain)) {
      return conflict(`the domain ${action.domainMetadata.domain} was changed`)
    }
    if ('remove' in action) {
      if (removed.has(fileKey(action.remove))) return conflict('a file this change rewrites was removed')
      dataChanged ||= action.remove.dataChange
    }
    if ('add' in action) dataChanged ||= action.add.dataChange
  }
  // A compaction moves rows without changing them: what was read from the whole table still holds.
  if (change.reads === 'table' && dataChanged) return conflict('the rows this change was computed from have changed')
  return { kind: 'rebase' }
}
