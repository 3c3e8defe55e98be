import { appendFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { ZerobusSdk } from '../../../sdk/index.ts'
import { diskSpool } from '../../../sdk/spool.ts'
import { idsOf, scriptedServer } from '../../support/scripted-server.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

let folder = ''
let remove = async () => {}
beforeEach(async () => ({ folder, remove } = await temporaryFolder()))
afterEach(() => remove())

const records = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `{"id":${from + i}}`)

test('what was appended is loaded again, in order and without what a crash tore', async () => {
  const spool = diskSpool(folder)
  await spool.load()
  await spool.setSession('s1')
  await Promise.all([spool.append(0, records(0, 2)), spool.append(2, records(2, 3))])
  await spool.close()
  const [segment] = (await readdir(folder)).filter((name) => name.endsWith('.spool'))
  await appendFile(join(folder, segment!), Buffer.from([0, 0, 0, 9, 1, 2, 3]))

  expect(await diskSpool(folder).load()).toEqual({ session: 's1', offset: 0, records: records(0, 3) })
})

test('a segment whose first write was torn still tells its offset, and later records are not lost behind it', async () => {
  await writeFile(join(folder, `${String(500).padStart(16, '0')}.spool`), Buffer.alloc(30, 7))
  const spool = diskSpool(folder)

  expect(await spool.load()).toEqual({ offset: 500, records: [] })
  await spool.append(500, records(500, 502))
  await spool.trim(501)
  await spool.append(502, records(502, 503))
  await spool.close()

  expect(await diskSpool(folder).load()).toEqual({ offset: 500, records: records(500, 503) })
})

test('segments that are wholly acknowledged are removed', async () => {
  const spool = diskSpool(folder)
  const big = [JSON.stringify({ text: 'x'.repeat(1 << 20) })]
  await spool.load()
  for (let offset = 0; offset < 4; offset++) await spool.append(offset, big)

  await spool.trim(2)
  await spool.close()

  expect(await diskSpool(folder).load()).toMatchObject({ offset: 2, records: [...big, ...big] })
})

test('trims beside each other remove a segment once, and later records have a place', async () => {
  const spool = diskSpool(folder)
  await spool.load()
  const long = 'x'.repeat(1 << 20)
  await spool.append(0, [`{"id":"${long}"}`, `{"id":1}`])
  await spool.append(2, records(2, 3))

  await Promise.all([spool.trim(2), spool.trim(2)])
  await spool.append(3, records(3, 5))
  await spool.close()

  expect(await diskSpool(folder).load()).toEqual({ offset: 2, records: records(2, 5) })
})

test('a crashed producer goes on with its session and its records; nothing it knows to be durable is sent again', async () => {
  const server = scriptedServer({
    ingest: (peer, { offset, count }, connection) => connection > 0 && peer.ack(offset + count),
  })
  const sdk = new ZerobusSdk('http://scripted', { token: 't', webSocket: server.webSocket })
  const options = { lingerMs: 1, compression: 'none', flushTimeoutMs: 500 } as const
  const crashed = await sdk.createStream({ tableName: 'a.b.c' }, { ...options, spool: diskSpool(folder) })
  await crashed.ingestRecordsOffset(records(0, 3))

  // As it is on the disk when the process is gone.
  const left = await temporaryFolder()
  await cp(folder, left.folder, { recursive: true })
  const stream = await sdk.createStream({ tableName: 'a.b.c' }, { ...options, spool: diskSpool(left.folder) })
  await stream.ingestRecordsOffset(records(3, 4))
  await stream.close()

  expect(server.peers[1]!.open).toMatchObject({ session: 's1', durable: 0 })
  expect(idsOf(server.peers[1]!.ingests)).toEqual([0, 1, 2, 3])
  await crashed.close().catch(() => {})
  await left.remove()
})

test('two streams cannot use one folder; what a process that is gone left does not matter', async () => {
  const first = diskSpool(folder)
  await first.load()

  await expect(diskSpool(folder).load()).rejects.toMatchObject({ code: 'push.spool_failed' })
  await first.close()
  await writeFile(join(folder, 'lock.5'), `${process.ppid}`)
  await expect(diskSpool(folder).load()).rejects.toThrow(`in use by process ${process.ppid}`)
  await writeFile(join(folder, 'lock.5'), '999999999')
  const next = diskSpool(folder)
  await next.load()
  expect(await readFile(join(folder, 'lock.6'), 'utf8')).toBe(`${process.pid}`)
  await next.close()
})

test('a stream that could not begin lets its spool go', async () => {
  const server = scriptedServer({ opened: (peer) => peer.cut({ code: 'push.not_permitted', retryable: false }) })
  const sdk = new ZerobusSdk('http://scripted', { token: 't', webSocket: server.webSocket })
  const begin = () => sdk.createStream({ tableName: 'a.b.c' }, { spool: diskSpool(folder) })

  await expect(begin()).rejects.toMatchObject({ code: 'push.not_permitted' })
  await expect(begin()).rejects.toMatchObject({ code: 'push.not_permitted' })
})

test('after a write that failed nothing more is promised, until the folder is read again', async () => {
  const spool = diskSpool(folder)
  await spool.load()
  // Its name is taken by what is no file.
  await mkdir(join(folder, `${String(0).padStart(16, '0')}.spool`))

  const lost = spool.append(0, records(0, 1))
  await expect(lost).rejects.toMatchObject({ code: 'EISDIR' })
  await rm(join(folder, `${String(0).padStart(16, '0')}.spool`), { recursive: true })
  await expect(spool.append(1, records(1, 2))).rejects.toMatchObject({ code: 'EISDIR' })
  expect(await spool.load()).toEqual({ offset: 0, records: [] })
  await spool.append(0, records(0, 1))
  await spool.close()

  expect(await diskSpool(folder).load()).toEqual({ offset: 0, records: records(0, 1) })
})

test('a stream recreated with an empty spool spools what the earlier one left', async () => {
  const server = scriptedServer({ ingest: () => {} })
  const sdk = new ZerobusSdk('http://scripted', { token: 't', webSocket: server.webSocket })
  const options = { lingerMs: 1, compression: 'none', flushTimeoutMs: 20 } as const
  const first = await sdk.createStream({ tableName: 'a.b.c' }, options)
  await first.ingestRecordsOffset(records(0, 2))
  await expect(first.close()).rejects.toMatchObject({ code: 'push.unacknowledged' })

  const second = await sdk.recreateStream(first, { ...options, spool: diskSpool(folder) })
  await expect(second.close()).rejects.toMatchObject({ code: 'push.unacknowledged' })

  expect(await diskSpool(folder).load()).toEqual({ session: 's1', offset: 0, records: records(0, 2) })
})
