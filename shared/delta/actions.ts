/** The actions of a Delta log entry (Delta protocol, "Actions"). Fields not listed are kept as found and ignored. */
export type Action =
  | { commitInfo: CommitInfo }
  | { protocol: Protocol }
  | { metaData: Metadata }
  | { add: AddFile }
  | { remove: RemoveFile }
  | { txn: Txn }
  | { domainMetadata: DomainMetadata }
  | { cdc: CdcFile }

export interface Protocol {
  minReaderVersion: number
  minWriterVersion: number
  readerFeatures?: readonly string[]
  writerFeatures?: readonly string[]
}

export interface Metadata {
  id: string
  name?: string
  description?: string
  format: { provider: string; options: Readonly<Record<string, string>> }
  schemaString: string
  partitionColumns: readonly string[]
  configuration: Readonly<Record<string, string>>
  createdTime?: number
}

export interface AddFile {
  /** URI-encoded, relative to the table's root or absolute. */
  path: string
  partitionValues: Readonly<Record<string, string | null>>
  size: number
  /** Milliseconds since the epoch. */
  modificationTime: number
  dataChange: boolean
  /** JSON text, as the protocol has it. */
  stats?: string
  tags?: Readonly<Record<string, string>> | null
  deletionVector?: DeletionVector
  baseRowId?: number
  defaultRowCommitVersion?: number
  clusteringProvider?: string
}

export interface RemoveFile {
  path: string
  deletionTimestamp?: number
  dataChange: boolean
  extendedFileMetadata?: boolean
  partitionValues?: Readonly<Record<string, string | null>>
  size?: number
  stats?: string
  tags?: Readonly<Record<string, string>> | null
  deletionVector?: DeletionVector
  baseRowId?: number
  defaultRowCommitVersion?: number
}

export interface DeletionVector {
  storageType: 'u' | 'i' | 'p'
  pathOrInlineDv: string
  offset?: number
  sizeInBytes: number
  cardinality: number
}

export interface Txn {
  appId: string
  version: number
  lastUpdated?: number
}

export interface DomainMetadata {
  domain: string
  configuration: string
  removed: boolean
}

export interface CdcFile {
  path: string
  partitionValues: Readonly<Record<string, string | null>>
  size: number
  dataChange: false
  tags?: Readonly<Record<string, string>> | null
}

export interface CommitInfo {
  timestamp?: number
  operation?: string
  operationParameters?: Readonly<Record<string, unknown>>
  isBlindAppend?: boolean
  engineInfo?: string
  /** Unique to this attempt: after a lost reply it tells whether the winner is this very commit. */
  txnId?: string
  inCommitTimestamp?: number
  [key: string]: unknown
}
