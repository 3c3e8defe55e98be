import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { openEngine } from '../../shared/load/engine.ts'
import { historySchema } from '../../shared/load/history-columns.ts'
import type { MergeSpec } from '../../shared/load/merge.ts'
import { readTableSql } from '../../shared/load/read-table.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { emptyTable, testPorts } from '../support/delta.ts'
import { mergeTable, schemaOf, type TestChange } from '../support/merge-table.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { deltaRsRead, difference } from './delta-rs.ts'

const numRuns = Number(process.env.SOAK ?? 3)
const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: join(folder, 'scratch') })
const storage = diskStorage(folder)
const ports = testPorts(storage)
afterAll(async () => {
  engine.close()
  await remove()
})

const columns = schemaOf({ id: 'long', seq: 'long', day: 'date', name: 'string' })
const batches: fc.Arbitrary<TestChange[][]> = fc.array(
  fc.array(
    fc.record({
      row: fc.record({
        id: fc.integer({ min: 1, max: 8 }),
        seq: fc.integer({ min: 1, max: 20 }),
        day: fc.constantFrom('2026-01-05', '2026-01-06', null),
        name: fc.constantFrom('a', 'b', null),
      }),
      deleted: fc.constantFrom(false, false, true),
    }),
    { minLength: 1, maxLength: 8 },
  ),
  { minLength: 2, maxLength: 4 },
)

let made = 0

test.each([
  ['SCD_TYPE_1', {}, []],
  ['SCD_TYPE_2', {}, []],
  ['SCD_TYPE_1', {}, ['day']],
  ['SCD_TYPE_2', {}, ['day']],
  ['SCD_TYPE_1', { 'delta.enableDeletionVectors': 'true' }, []],
  ['SCD_TYPE_1', { 'delta.enableDeletionVectors': 'true' }, ['day']],
] as const)(
  'delta-rs and DuckDB read the same rows of merges of %s, %j, by %j',
  async (mode, properties, partitions) => {
    const spec: MergeSpec = { mode, keys: ['id'], sequenceBy: ['seq'] }
    const schema = mode === 'SCD_TYPE_2' ? historySchema(columns, ['seq']) : columns
    await fc.assert(
      fc.asyncProperty(batches, async (history) => {
        const root = `merged${made++}`
        await emptyTable(ports, { root, schema, properties, partitionColumns: partitions })
        const table = await mergeTable(root, schema, { storage, engine, clock: ports.clock })
        for (const changes of history) await table.apply(changes, spec)

        const out = join(folder, `${root}.parquet`)
        const theirs = deltaRsRead(join(folder, root), out)
        const snapshot = await table.snapshot()

        expect(theirs.version).toBe(snapshot.version)
        await engine.session(async (session) => {
          expect(await difference(session, await readTableSql(session, storage, snapshot), out)).toEqual([0, 0])
        })
      }),
      { numRuns, endOnFailure: true },
    )
  },
)
