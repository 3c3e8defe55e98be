import { expect, test } from '@jest/globals'
import { parquetReadObjects } from 'hyparquet'
import { upsert } from '../../../shared/core/change.ts'
import { openStage, type RejectedRow, type StagedFile, type StageOptions } from '../../../shared/load/stage.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import type { Storage } from '../../../shared/storage/storage.ts'
import { column, seededRandom, shopSchema } from '../../support/delta.ts'

function stageOn(storage: Storage, options: Partial<StageOptions> = {}) {
  const rejected: RejectedRow[] = []
  const stage = openStage({
    storage,
    folder: 'shop',
    schema: shopSchema,
    holds: 'rows',
    random: seededRandom(),
    onRejected: (rows) => rejected.push(...rows),
    ...options,
  })
  return { stage, rejected }
}

async function rowsOf(storage: Storage, files: readonly StagedFile[]) {
  const rows: Record<string, unknown>[] = []
  for (const { path } of files) {
    const bytes = (await storage.get(path))!
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer
    rows.push(...(await parquetReadObjects({ file })))
  }
  return rows
}

async function paths(storage: Storage) {
  const found: string[] = []
  for await (const { path } of storage.list('')) found.push(path)
  return found
}

const json = (text: string) => ({ op: 'block', format: 'ndjson', bytes: Buffer.from(text) }) as const

test('a staged file is complete, durable and counted', async () => {
  const storage = memoryStorage()
  const { stage } = stageOn(storage)

  await stage.write(upsert({ id: 1, name: 'a' }))
  await stage.write(upsert({ id: 2, name: null }))
  const files = await stage.flush()

  expect(files).toMatchObject([{ rows: 2, rejected: 0 }])
  expect(stage.counts).toMatchObject({ rows: 2, rejected: 0 })
  expect(await rowsOf(storage, files)).toEqual([
    { id: 1n, name: 'a' },
    { id: 2n, name: null },
  ])
})

test('blocks that end inside a row are put together, and files are closed between rows', async () => {
  const storage = memoryStorage()
  const { stage } = stageOn(storage, { targetBytes: 1 })
  const text = Array.from({ length: 50 }, (_, i) => `{"id":${i},"name":"name ${i}"}\n`).join('')

  for (let at = 0; at < text.length; at += 17) await stage.write(json(text.slice(at, at + 17)))
  const files = await stage.flush()

  expect(files.length).toBeGreaterThan(10)
  expect(await rowsOf(storage, files)).toEqual(
    Array.from({ length: 50 }, (_, i) => ({ id: BigInt(i), name: `name ${i}` })),
  )
})

test('rows and blocks in turn keep their order, in files of their own', async () => {
  const storage = memoryStorage()
  const { stage } = stageOn(storage)

  await stage.write(upsert({ id: 1, name: 'row' }))
  await stage.write(json('{"id":2,"name":"block"}\n'))
  await stage.write(upsert({ id: 3, name: 'row' }))
  const files = await stage.flush()

  expect((await rowsOf(storage, files)).map(({ id }) => id)).toEqual([1n, 2n, 3n])
  expect(files).toHaveLength(3)
})

test('a row that does not fit is handed over as it came, and the others are kept', async () => {
  const storage = memoryStorage()
  const { stage, rejected } = stageOn(storage)

  await stage.write(json('{"id":1}\n{"id":"no num'))
  await stage.write(json('ber"}\n{"id":3}\n'))
  await stage.write(upsert({ id: 'four', name: 'd' }))
  const files = await stage.flush()

  expect((await rowsOf(storage, files)).map(({ id }) => id)).toEqual([1n, 3n])
  expect(rejected.map(({ rejection }) => rejection.column)).toEqual(['id', 'id'])
  expect(Buffer.from(rejected[0]!.payload as Uint8Array).toString()).toBe('{"id":"no number"}')
  expect(rejected[1]!.payload).toEqual({ id: 'four', name: 'd' })
  expect(stage.counts).toMatchObject({ rows: 2, rejected: 2 })
})

test('files without rows are never written, and an abort leaves nothing', async () => {
  const storage = memoryStorage()
  const { stage } = stageOn(storage)

  await stage.write(json('{"id":"no number"}\n'))
  expect(await stage.flush()).toEqual([])
  await stage.write(upsert({ id: 1, name: 'a' }))
  await stage.abort()

  expect(await paths(storage)).toEqual([])
})

test('changes carry deletes and absent columns; files of rows pass over deletes', async () => {
  const storage = memoryStorage()
  const changes = stageOn(storage, { holds: 'changes', schema: { fields: [column('id'), column('name', 'string')] } })
  const rows = stageOn(storage)
  const remove = { op: 'delete', key: { id: 1 } } as const

  await changes.stage.write({ op: 'upsert', row: { id: 2, name: null }, absent: ['name'] })
  await changes.stage.write(remove)
  await rows.stage.write(remove)

  expect(await rowsOf(storage, await changes.stage.flush())).toEqual([
    { id: 2n, name: null, __deleted: null, __absent: ['name'] },
    { id: 1n, name: null, __deleted: true, __absent: undefined },
  ])
  expect(await rows.stage.flush()).toEqual([])
  expect(rows.stage.counts.ignoredDeletes).toBe(1)
})
