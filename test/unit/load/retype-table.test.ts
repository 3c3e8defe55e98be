import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { commit } from '../../../shared/delta/commit.ts'
import { reshapeColumns } from '../../../shared/delta/evolve.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import { readTableSql } from '../../../shared/load/read-table.ts'
import { retypeTable } from '../../../shared/load/retype-table.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { column, committed, dataFile, emptyTable, testPorts } from '../../support/delta.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: join(folder, 'scratch'), threads: 1 })
afterAll(async () => {
  engine.close()
  await remove()
})

const DAY_MS = 86_400_000

/** A table of five files, a clock that moves a second a file, and the widening of its column `n`, with a new one. */
async function narrow() {
  let now = Date.UTC(2026, 0, 1)
  const clock = { now: () => now, sleep: async () => {} }
  const storage = memoryStorage({ clock })
  const ports = { ...testPorts(storage), clock }
  const base = await emptyTable(ports, { schema: { fields: [column('id', 'integer'), column('n', 'integer')] } })
  const add = []
  for (let id = 0; id < 5; id++) add.push(await dataFile(base, [{ id, n: id * 10 }], ports))
  const table = committed(await commit(base, { operation: 'WRITE', add, reads: 'nothing' }, ports))
  const written: string[] = []
  const counted = {
    ...storage,
    writer(path: string) {
      written.push(path)
      now += 1000
      return storage.writer(path)
    },
  }
  const retype = (seconds?: number) => {
    const columns = [column('id', 'integer'), column('n', 'long')].map((field) => ({ was: field.name, field }))
    const evolution = reshapeColumns(table, [...columns, { field: column('later', 'string') }], ports.random)
    const deadline = seconds === undefined ? {} : { deadlineMs: now + seconds * 1000 }
    return retypeTable(table, evolution, { ...ports, storage: counted, engine, ...deadline })
  }
  const pass = (ms: number) => {
    now += ms
  }
  const rows = async () => {
    const snapshot = (await readSnapshot(storage, table.root))!
    const sql = await engine.session(async (session) =>
      session.rows(`select id, n, later from (${await readTableSql(session, storage, snapshot)}) order by id`),
    )
    return sql.map(({ id, n, later }) => [id, n, later])
  }
  return { table, ports, retype, written, pass, rows }
}

test('a widening that the deadline stops goes on where it was, also with another new column', async () => {
  const { table, ports, retype, written, rows } = await narrow()

  expect(await retype(2)).toBeUndefined()
  expect(written).toHaveLength(2)
  expect(await retype(2)).toBeUndefined()
  const change = await retype()

  expect(written).toHaveLength(5)
  expect(change!.add!.map(({ path }) => `${table.root}/${path}`)).toEqual(written)
  committed(await commit(table, { operation: 'CHANGE COLUMNS', ...change! }, ports))
  expect(await rows()).toEqual([0, 1, 2, 3, 4].map((id) => [id, BigInt(id * 10), null]))
})

test('files that vacuum may take at any moment are not used again', async () => {
  const { retype, written, pass } = await narrow()
  await retype(2)

  pass(4 * DAY_MS)
  const change = await retype()

  expect(written).toHaveLength(7)
  expect(change!.add).toHaveLength(5)
})
