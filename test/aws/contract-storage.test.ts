import { randomUUID } from 'node:crypto'
import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { s3Storage } from '../../shared/storage/s3.ts'
import { storageContract } from '../contract/storage.contract.ts'

const client = new S3Client({ forcePathStyle: true })
const bucket = `lakehouse-${randomUUID()}`
beforeAll(async () => {
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
})
afterAll(() => client.destroy())

storageContract(async () => ({ storage: s3Storage(client, bucket, 'lake/house'), close: async () => {} }))

test('the prefix is a folder of its own: nothing beside it is seen', async () => {
  const inner = s3Storage(client, bucket, 'prefix/a')
  const outer = s3Storage(client, bucket, 'prefix')
  await outer.put('ab', Buffer.from('beside'))
  await inner.put('b', Buffer.from('within'))

  expect(await Array.fromAsync(inner.list(''))).toMatchObject([{ path: 'b' }])
  expect((await Array.fromAsync(outer.list(''))).map(({ path }) => path)).toEqual(['a/b', 'ab'])
  expect([inner.url, s3Storage(client, bucket, '').url]).toEqual([`s3://${bucket}/prefix/a`, `s3://${bucket}`])
})

test('an aborted or failed upload leaves no parts behind', async () => {
  const writer = s3Storage(client, bucket, 'abort').writer('a')
  await writer.write(new Uint8Array(20 * 1024 * 1024))
  await writer.abort()

  const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
  expect(Uploads ?? []).toEqual([])
})

test('an object of many parts is put together in order', async () => {
  const storage = s3Storage(client, bucket, 'parts', { partBytes: 5 * 1024 * 1024 })
  const writer = storage.writer('a')
  const pieces = Array.from({ length: 40 }, (_, i) => new Uint8Array(700_000 + i).fill(i))
  for (const piece of pieces) await writer.write(piece)
  await writer.finish()

  expect(Buffer.compare((await storage.get('a'))!, Buffer.concat(pieces))).toBe(0)
})

test('a missing bucket is storage.missing, not an empty lakehouse', async () => {
  const storage = s3Storage(client, `${bucket}-not`, 'x')

  const missing = { code: 'storage.missing', remedy: 'fix' }
  await expect(storage.get('a')).rejects.toMatchObject(missing)
  await expect(storage.put('a', Buffer.from('a'))).rejects.toMatchObject(missing)
  await expect(Array.fromAsync(storage.list(''))).rejects.toMatchObject(missing)
})

test('a store that does not answer is storage.unavailable', async () => {
  const nowhere = new S3Client({ forcePathStyle: true, endpoint: 'http://127.0.0.1:1', maxAttempts: 2 })

  await expect(s3Storage(nowhere, bucket, 'x').get('a')).rejects.toMatchObject({ code: 'storage.unavailable' })
  nowhere.destroy()
})
