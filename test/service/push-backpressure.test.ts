import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { WebSocket } from 'ws'
import { encodeBinary, type ServerFrame } from '../../shared/push/frames.ts'
import { diskQueue } from '../../shared/queue/disk.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import type { Storage } from '../../shared/storage/storage.ts'
import { CLICKS, rowsOf, rowsText } from '../support/push.ts'
import { startPushIn } from '../support/push-door.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const SESSIONS = 4
const BATCHES = 120
const ROWS = 800
const WINDOW = 64 << 10
const BACKLOG = 512 << 10

/** A storage whose files are not finished while the gate is closed. */
function gated(storage: Storage, gate: { opened: Promise<void> }): Storage {
  return {
    ...storage,
    writer(path) {
      const writer = storage.writer(path)
      return {
        ...writer,
        write: (bytes) => writer.write(bytes),
        abort: () => writer.abort(),
        async finish() {
          await gate.opened
          return await writer.finish()
        },
      }
    },
  }
}

/** A producer that sends all it has at once, whatever window it is told. */
async function flood(url: string, name: string) {
  const socket = new WebSocket(url.replace('http', 'ws'), ['lakeflow.zerobus.v1', `bearer.${btoa('secret')}`])
  const told = { durable: 0, committed: 0, windows: [] as number[] }
  const opened = new Promise<void>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data)) as ServerFrame
      if (frame.type === 'error') reject(new Error(frame.message))
      if (frame.type === 'opened') resolve()
      if (frame.type !== 'ack') return
      told.durable = frame.durable
      told.committed = frame.committed
      if (frame.window) told.windows.push(frame.window.bytes)
    })
  })
  await new Promise((resolve) => socket.once('open', resolve))
  socket.send(JSON.stringify({ type: 'open', v: 1, table: CLICKS }))
  await opened
  for (let i = 0; i < BATCHES; i++) {
    const rows = rowsText(name, i * ROWS, (i + 1) * ROWS)
    socket.send(encodeBinary({ type: 'ingest', offset: i * ROWS, count: ROWS, encoding: 'none' }, rows))
  }
  return { told, close: () => socket.terminate() }
}

test('producers wait while the storage is slow: nothing piles up beyond the limit, and nothing is lost', async () => {
  const { folder, remove } = await temporaryFolder()
  const lake = diskStorage(join(folder, 'lake'))
  const queue = await diskQueue(join(folder, 'queue'))
  const { promise: opened, resolve: open } = Promise.withResolvers<void>()
  const server = await startPushIn(folder, {
    storage: gated(lake, { opened }),
    queue,
    settings: { window: { bytes: WINDOW, records: 1e6 }, backlogBytes: BACKLOG },
  })
  const producers = await Promise.all(Array.from({ length: SESSIONS }, (_, i) => flood(server.url, `s${i}`)))
  const durable = () => producers.reduce((sum, { told }) => sum + told.durable, 0)

  let before = -1
  for (let still = 0; still < 10; await sleep(100)) {
    still = durable() === before ? still + 1 : 0
    before = durable()
  }
  const held = (await queue.depth()).bytes
  const heldRecords = durable()
  open()
  const all = SESSIONS * BATCHES * ROWS
  while (producers.some(({ told }) => told.committed < BATCHES * ROWS)) await sleep(20)
  for (const { close } of producers) close()
  await server.close()

  const message = rowsText('s0', 0, ROWS).length
  expect(held).toBeGreaterThan(BACKLOG / 2)
  expect(held).toBeLessThan(BACKLOG + SESSIONS * (WINDOW + 2 * message))
  expect(heldRecords).toBeLessThan(all / 2)
  expect(producers.flatMap(({ told }) => told.windows)).toContain(0)
  expect(producers.every(({ told }) => told.windows.at(-1) === WINDOW)).toBe(true)
  const ids = (await rowsOf(lake)).map((row) => String(row.id))
  expect(ids.length).toBe(all)
  expect(new Set(ids).size).toBe(all)
  await remove()
}, 120_000)
