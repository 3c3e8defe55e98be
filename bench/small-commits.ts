import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createBatchWriter } from '../shared/columnar/parquet-writer.ts'
import { systemClock } from '../shared/core/clock.ts'
import { invariant } from '../shared/core/errors.ts'
import { systemRandom } from '../shared/core/random.ts'
import { type CommitPorts, commit, createTable } from '../shared/delta/commit.ts'
import { newTable } from '../shared/delta/new-table.ts'
import { readSnapshot } from '../shared/delta/snapshot.ts'
import { addFile } from '../shared/delta/stats.ts'
import type { CommitResult, TableSnapshot } from '../shared/delta/table.ts'
import type { Schema } from '../shared/schema/types.ts'
import { diskStorage } from '../shared/storage/disk.ts'

export const about = '1,000 commits of 1,000 changes to one table on disk: does the last cost more than the first?'

const COMMITS = 1000
const CHANGES = 1000
/** Commits that are compared: the first and the last. Ten log checkpoints are among each. */
const ENDS = 100

const schema: Schema = {
  fields: [
    { name: 'id', type: { kind: 'long' }, nullable: false },
    { name: 'name', type: { kind: 'string' }, nullable: true },
    { name: 'amount', type: { kind: 'decimal', precision: 12, scale: 2 }, nullable: true },
    { name: 'changed_at', type: { kind: 'timestamp' }, nullable: true },
  ],
}

/** `commit` is looking for newer versions, writing the data file and committing it; `coldRead` a reader that knows nothing. */
export async function run(): Promise<Record<string, number>> {
  const folder = await mkdtemp(join(tmpdir(), 'lakeflow-bench-'))
  try {
    const ports = { storage: diskStorage(folder), clock: systemClock, random: systemRandom }
    const old = await writer(ports, 'shop')
    const times: number[] = []
    while (times.length < COMMITS - ENDS) times.push(await old())
    // The last commits are compared with the first ones of another table, in turn: whatever else the machine does, and
    // code that is compiled as it runs, then weighs on both alike.
    const young = await writer(ports, 'young')
    const [first, last]: [number[], number[]] = [[], []]
    for (let n = 0; n < ENDS; n++) {
      first.push(await young())
      last.push(await old())
    }
    const before = performance.now()
    const table = await readSnapshot(ports.storage, 'shop')
    const coldReadMs = performance.now() - before
    invariant(table?.files.size === COMMITS, `expected ${COMMITS} files, got ${table?.files.size}`)
    return {
      lastVsFirst: mean(last) / mean(first),
      'firstMs.mean': mean(first),
      'firstMs.median': median(first),
      'lastMs.mean': mean(last),
      'lastMs.median': median(last),
      coldReadMs,
      changesPerSecond: (COMMITS * CHANGES) / ([...times, ...last].reduce((sum, ms) => sum + ms, 0) / 1000),
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Makes a table; each call then makes one commit to it and returns its milliseconds. */
async function writer(ports: CommitPorts, root: string): Promise<() => Promise<number>> {
  let table = committed(await createTable(root, newTable(schema, ports), ports))
  return async () => {
    const n = table.version + 1
    const rows = rowsOf(n)
    const before = performance.now()
    table = (await readSnapshot(ports.storage, root, { after: table })) ?? table
    const batch = createBatchWriter(schema)
    batch.appendRows(rows)
    const finished = batch.finish()
    const name = `part-${ports.random.uuid()}.parquet`
    await ports.storage.put(`${root}/${name}`, Buffer.concat(batch.take()))
    const add = [addFile(name, finished, schema, table.metadata, { modificationTimeMs: ports.clock.now() })]
    const txn = { appId: 'bench', version: n }
    table = committed(await commit(table, { operation: 'STREAMING UPDATE', add, txn, reads: 'nothing' }, ports))
    return performance.now() - before
  }
}

const rowsOf = (commit: number) =>
  Array.from({ length: CHANGES }, (_, index) => ({
    id: commit * CHANGES + index,
    name: `customer ${(commit * 31 + index * 17) % 5000}`,
    amount: `${(index * 37) % 10_000}.25`,
    changed_at: new Date(1_767_225_600_000 + commit * 1000 + index),
  }))

function committed(result: CommitResult): TableSnapshot {
  invariant(result.kind === 'committed', `expected a commit, got ${result.kind}`)
  return result.snapshot
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!
