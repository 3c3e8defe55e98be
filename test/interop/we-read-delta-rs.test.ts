import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { commit } from '../../shared/delta/commit.ts'
import { fileMayContain } from '../../shared/delta/skipping.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import { history } from '../../shared/delta/time-travel.ts'
import { openEngine } from '../../shared/load/engine.ts'
import { changeFeedSql } from '../../shared/load/read-change-feed.ts'
import { readTableSql } from '../../shared/load/read-table.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { committed, dataFile, emptyTable, shopSchema, testPorts } from '../support/delta.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { deltaRsRead, deltaRsRun, difference } from './delta-rs.ts'

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: join(folder, 'scratch') })
const storage = diskStorage(folder)
const ports = testPorts(storage)

afterAll(async () => {
  engine.close()
  await remove()
})

/** Both of us see the same rows at each of the versions. */
async function agreed(root: string, versions: readonly (number | undefined)[] = [undefined]) {
  for (const version of versions) {
    const out = join(folder, `${root}-${version}.parquet`)
    const theirs = deltaRsRead(join(folder, root), out, version)
    const ours = (await readSnapshot(storage, root, version === undefined ? {} : { version }))!
    expect(ours.version).toBe(theirs.version)
    await engine.session(async (session) => {
      const sql = await readTableSql(session, storage, ours)
      expect(await difference(session, sql, out)).toEqual([0, 0])
    })
  }
}

test('append, partitions, delete, update, merge, overwrite, compaction and vacuum', async () => {
  deltaRsRun(
    join(folder, 'busy'),
    `
def rows(start, count, **more):
    ids = list(range(start, start + count))
    return pa.table({
        "id": pa.array(ids, pa.int64()),
        "kind": pa.array([["a", "b =%/", None][i % 3] for i in ids]),
        "day": pa.array([datetime(2026, 1, 1 + i % 5).date() for i in ids]),
        "at": pa.array([datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=i) for i in ids], pa.timestamp("us", "UTC")),
        "n": pa.array([Decimal(i) / 4 for i in ids], pa.decimal128(20, 4)),
        "tags": pa.array([[str(i), None] for i in ids]),
        "point": pa.array([{"x": i, "y": {"z": str(i)}} for i in ids]),
        **more,
    })
dl.write_deltalake(table, rows(0, 50), partition_by=["kind", "day"])
dl.write_deltalake(table, rows(50, 50), mode="append")
dl.DeltaTable(table).delete("id % 7 = 0")
dl.DeltaTable(table).update(updates={"n": "n + 1"}, predicate="id % 5 = 0")
dl.DeltaTable(table).merge(rows(90, 30), "t.id = s.id", source_alias="s", target_alias="t").when_matched_update_all().when_not_matched_insert_all().execute()
dl.write_deltalake(table, rows(200, 10, extra=pa.array(["x"] * 10)), mode="append", schema_mode="merge")
dl.DeltaTable(table).optimize.compact()
dl.DeltaTable(table).create_checkpoint()
dl.write_deltalake(table, rows(300, 5, extra=pa.array(["y"] * 5)), mode="append")
`,
  )

  await agreed('busy', [0, 1, 2, 3, 4, 5, 6, 7])
  const operations = (await history(storage, 'busy')).map(({ info }) => info.operation)
  expect(operations).toEqual(['WRITE', 'OPTIMIZE', 'WRITE', 'MERGE', 'UPDATE', 'DELETE', 'WRITE', 'WRITE'])
})

test('their statistics let us skip files and never the wrong one', async () => {
  deltaRsRun(
    join(folder, 'skipping'),
    `
for start in (0, 100, 200):
    ids = list(range(start, start + 100))
    dl.write_deltalake(table, pa.table({
        "id": pa.array(ids, pa.int64()),
        "at": pa.array([datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=i) for i in ids], pa.timestamp("us", "UTC")),
        "n": pa.array([Decimal(i) for i in ids], pa.decimal128(38, 2)),
    }), mode="append")
`,
  )
  const table = (await readSnapshot(storage, 'skipping'))!
  const at = BigInt(Date.UTC(2026, 0, 1)) * 1000n
  const left = (column: string, value: bigint) =>
    [...table.files.values()].filter((file) =>
      fileMayContain(file, table, [{ column: [column], min: value, max: value }]),
    )

  expect(left('id', 150n)).toHaveLength(1)
  expect(left('n', 15_000n)).toHaveLength(1)
  expect(left('at', at + 150n).length).toBeGreaterThanOrEqual(1)
  expect(left('id', 1_000n)).toHaveLength(0)
})

test('timestamps without zone', async () => {
  deltaRsRun(
    join(folder, 'ntz'),
    `
rows = pa.table({"id": pa.array([1, 2]), "at": pa.array([datetime(2026, 1, 1), None], pa.timestamp("us"))})
dl.write_deltalake(table, rows)
dl.write_deltalake(table, rows, mode="append")
`,
  )

  await agreed('ntz')
})

test('a table written by both in turn', async () => {
  const base = await emptyTable(ports, { root: 'both', schema: shopSchema })
  const append = async (id: number) => {
    const add = [await dataFile(base, [{ id, name: 'ours' }], ports)]
    return committed(await commit(base, { operation: 'WRITE', add, reads: 'nothing' }, ports))
  }
  const theirs = (id: number) =>
    deltaRsRun(
      join(folder, 'both'),
      `
schema = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("name", pa.string())])
dl.write_deltalake(table, pa.table({"id": [${id}], "name": ["theirs"]}, schema=schema), mode="append")
`,
    )

  for (let id = 0; id < 12; id += 2) {
    await append(id)
    theirs(id + 1)
  }

  await agreed('both')
  expect((await readSnapshot(storage, 'both'))!.version).toBe(12)
})

test('the change data feed of every version', async () => {
  const out = join(folder, 'feed.parquet')
  deltaRsRun(
    join(folder, 'feed'),
    `
rows = lambda start, count: pa.table({"id": pa.array(range(start, start + count), pa.int64()), "n": pa.array([1.5] * count)})
dl.write_deltalake(table, rows(0, 20), configuration={"delta.enableChangeDataFeed": "true"})
dl.write_deltalake(table, rows(20, 20), mode="append")
dl.DeltaTable(table).delete("id % 7 = 0")
dl.DeltaTable(table).update(updates={"n": "n + 1"}, predicate="id % 5 = 0")
dl.DeltaTable(table).merge(rows(35, 10), "t.id = s.id", source_alias="s", target_alias="t").when_matched_update_all().when_not_matched_insert_all().execute()
import pyarrow.parquet as pq
changes = pa.table(dl.DeltaTable(table).load_cdf(starting_version=0).read_all())
changes = changes.select(["id", "n", "_change_type", "_commit_version"])
pq.write_table(changes.cast(pa.schema([("id", pa.int64()), ("n", pa.float64()), ("_change_type", pa.string()), ("_commit_version", pa.int64())])), "${out}")
`,
  )

  await engine.session(async (session) => {
    const ours = await changeFeedSql(session, storage, 'feed', 0)
    const columns = `select * exclude ("_commit_timestamp") from (${ours})`
    expect(await difference(session, columns, out)).toEqual([0, 0])
  })
})
