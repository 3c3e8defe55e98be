import type { Storage } from '../storage/storage.ts'
import type { CommitInfo } from './actions.ts'
import { checksumPath } from './log-files.ts'
import type { TableSnapshot } from './table.ts'

/** Writes a version's `.crc` unless there is one (Delta protocol, "Version Checksum File"). */
export async function writeChecksum(
  storage: Storage,
  table: TableSnapshot,
  info: CommitInfo | undefined,
): Promise<void> {
  let tableSizeBytes = 0
  for (const file of table.files.values()) tableSizeBytes += file.size
  const checksum = {
    ...(info?.txnId === undefined ? {} : { txnId: info.txnId }),
    tableSizeBytes,
    numFiles: table.files.size,
    numMetadata: 1,
    numProtocol: 1,
    ...(info?.inCommitTimestamp === undefined ? {} : { inCommitTimestampOpt: info.inCommitTimestamp }),
    setTransactions: [...table.txns.values()],
    domainMetadata: [...table.domains.values()],
    metadata: table.metadata,
    protocol: table.protocol,
  }
  await storage.putIfAbsent(checksumPath(table.root, table.version), new TextEncoder().encode(JSON.stringify(checksum)))
}
