import { IngestError } from '../core/errors.ts'
import type { Action, AddFile, DomainMetadata, Metadata, Protocol, RemoveFile, Txn } from './actions.ts'
import { logicalSchema } from './column-mapping.ts'
import { checkReadable } from './features.ts'
import { fileKey } from './file-path.ts'
import type { TableSnapshot } from './table.ts'

/** What log replay builds up (Delta protocol, "Action Reconciliation"). Actions must be applied in log order. */
export class TableState {
  readonly root: string
  #protocol: Protocol | undefined
  #metadata: Metadata | undefined
  #base: TableSnapshot | undefined
  readonly #files: Map<string, AddFile>
  readonly #tombstones: Map<string, RemoveFile>
  readonly #txns: Map<string, Txn>
  readonly #domains: Map<string, DomainMetadata>

  /** Empty, or at `base`, which stays as it is. */
  constructor(root: string, base?: TableSnapshot) {
    this.root = root
    this.#base = base
    this.#protocol = base?.protocol
    this.#metadata = base?.metadata
    this.#files = new Map(base?.files)
    this.#tombstones = new Map(base?.tombstones)
    this.#txns = new Map(base?.txns)
    this.#domains = new Map(base?.domains)
  }

  get metadata(): Metadata | undefined {
    return this.#metadata
  }

  /** Applies one version's actions, or a log checkpoint's. Kinds not known are passed over. */
  apply(actions: readonly Action[]): void {
    for (const action of actions) {
      if ('remove' in action) this.#remove(action.remove)
    }
    for (const action of actions) {
      if ('add' in action) this.#add(action.add)
      else if ('metaData' in action) this.#metadata = complete(action.metaData)
      else if ('protocol' in action) this.#protocol = action.protocol
      else if ('txn' in action) this.#txns.set(action.txn.appId, action.txn)
      else if ('domainMetadata' in action) this.#domain(action.domainMetadata)
    }
  }

  /**
   * The state as a table at a version. The state must not be used after it.
   * @throws IngestError `table.corrupt` or `table.unsupported_feature` (both fix)
   */
  snapshot(version: number, timestampMs: number): TableSnapshot {
    const [protocol, metadata] = [this.#protocol, this.#metadata]
    if (!protocol || !metadata) {
      const missing = protocol ? 'metaData' : 'protocol'
      throw new IngestError(
        'table.corrupt',
        `the log of the table ${this.root} up to version ${version} has no ${missing} action; restore the file that held it`,
      )
    }
    if (protocol !== this.#base?.protocol) checkReadable(protocol, this.root)
    const schema = metadata === this.#base?.metadata ? this.#base.schema : logicalSchema(metadata, this.root)
    return {
      root: this.root,
      version,
      timestampMs,
      protocol,
      metadata,
      schema,
      files: this.#files,
      tombstones: this.#tombstones,
      txns: this.#txns,
      domains: this.#domains,
    }
  }

  #add(file: AddFile) {
    const key = fileKey(file)
    this.#files.set(key, file)
    this.#tombstones.delete(key)
  }

  #remove(file: RemoveFile) {
    const key = fileKey(file)
    this.#files.delete(key)
    this.#tombstones.set(key, file)
  }

  #domain(domain: DomainMetadata) {
    if (domain.removed) this.#domains.delete(domain.domain)
    else this.#domains.set(domain.domain, domain)
  }
}

/** Metadata as a writer may leave it that spells out only what is not the default. */
function complete(found: Metadata): Metadata {
  if (found.format && found.partitionColumns && found.configuration) return found
  return {
    ...found,
    format: found.format ?? { provider: 'parquet', options: {} },
    partitionColumns: found.partitionColumns ?? [],
    configuration: found.configuration ?? {},
  }
}

/** The next version of a table, from the actions of its commit. */
export function advance(
  base: TableSnapshot,
  actions: readonly Action[],
  version: number,
  timestampMs: number,
): TableSnapshot {
  const state = new TableState(base.root, base)
  state.apply(actions)
  return state.snapshot(version, timestampMs)
}
