import { type ChildProcess, fork } from 'node:child_process'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { ZerobusSdk } from '../../sdk/index.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { filesOf } from '../support/push.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const soakSeconds = Number(process.env.SOAK_SECONDS ?? (process.env.SOAK ? 600 : 8))
const producers = process.env.SOAK ? 20 : 4

/** A stable address in front of a server that comes and goes; `cut` breaks one connection in the middle of whatever it does. */
async function proxy() {
  const open = new Set<Socket>()
  const state = { target: 0 }
  const server = createServer((client) => {
    const upstream = connect(state.target, '127.0.0.1')
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('error', () => {})
      from.on('close', () => to.destroy())
      from.pipe(to)
    }
    open.add(client)
    client.on('close', () => open.delete(client))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    use: (port: number) => {
      state.target = port
    },
    cut() {
      const sockets = [...open]
      sockets[Math.floor(Math.random() * sockets.length)]?.destroy()
    },
    async close() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function child(script: string, args: string[]): ChildProcess {
  return fork(join(import.meta.dirname, script), args, { execArgv: [] })
}

async function startServer(folder: string, front: { use(port: number): void }): Promise<ChildProcess> {
  const server = child('push-server-child.ts', [folder])
  const port = await new Promise<number>((resolve, reject) => {
    server.once('message', (message) => resolve((message as { port: number }).port))
    server.once('exit', (code) => reject(new Error(`the push server ended with ${code}`)))
  })
  front.use(port)
  return server
}

const gone = (process: ChildProcess) =>
  process.exitCode !== null || process.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => process.once('exit', resolve))

test(
  'the table holds exactly what was acknowledged, under kills of server and producers, cuts and duplicates',
  async () => {
    const { folder, remove } = await temporaryFolder()
    const front = await proxy()
    let server = await startServer(join(folder, 'server'), front)
    const endMs = Date.now() + soakSeconds * 1000
    const sdk = new ZerobusSdk(front.url, { token: 'secret' })

    const steady = Array.from({ length: producers }, async (_, p) => {
      const stream = await sdk.createStream(
        { tableName: 'main.events.clicks' },
        { recoveryBackoffMs: 50, lingerMs: 5, recoveryTimeoutMs: 600_000 },
      )
      let sent = 0
      for (; Date.now() < endMs; await sleep(10)) {
        const lines = Array.from({ length: 50 }, (_, i) => `{"id":"p${p}:${sent + i}","n":${sent + i}}`)
        await stream.ingestRecordsOffset(lines)
        sent += lines.length
      }
      await stream.close()
      return { name: `p${p}`, sent }
    })

    const spooling = (async () => {
      let spooled = 0
      const spoolFolder = join(folder, 'spool')
      const start = () => {
        const producer = child('push-producer-child.ts', [front.url, spoolFolder, 's'])
        producer.on('message', (message) => {
          spooled = Math.max(spooled, (message as { spooled: number }).spooled)
        })
        return producer
      }
      let producer = start()
      while (Date.now() < endMs) {
        await sleep(1500 + Math.random() * 2000)
        producer.kill('SIGKILL')
        await gone(producer)
        producer = start()
      }
      await sleep(1000)
      producer.send('stop')
      await gone(producer)
      expect(producer.exitCode).toBe(0)
      return { name: 's', sent: spooled }
    })()

    const killing = (async () => {
      while (Date.now() < endMs - 2000) {
        await sleep(1500 + Math.random() * 3000)
        front.cut()
        await sleep(Math.random() * 300)
        server.kill('SIGKILL')
        await gone(server)
        server = await startServer(join(folder, 'server'), front)
      }
    })()

    const results = await Promise.all([...steady, spooling])
    await killing
    // What a server leaves behind at its end, a second delivery that waits for its time, the next one settles.
    for (const last of [server, undefined]) {
      const stopping = last ?? (await startServer(join(folder, 'server'), front))
      stopping.send('stop')
      await gone(stopping)
    }
    await front.close()

    const files = await filesOf(diskStorage(join(folder, 'server/lake')))
    const rows = files.flat()
    const ids = rows.map((row) => String(row.id))
    const counts = new Map<string, number>()
    for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1)
    const duplicated = [...counts].filter(([, count]) => count > 1)
    const lost = results.flatMap(({ name, sent }) =>
      Array.from({ length: sent }, (_, i) => `${name}:${i}`).filter((id) => !counts.has(id)),
    )
    expect({ lost: lost.length, duplicated: duplicated.length }).toEqual({ lost: 0, duplicated: 0 })
    for (const file of files) {
      for (const sent of Map.groupBy(file, (row) => String(row.id).split(':')[0]).values()) {
        const order = sent.map((row) => Number(row.n))
        expect(order).toEqual([...order].sort((a, b) => a - b))
      }
    }
    await remove()
    console.log(`${ids.length} records from ${results.length} producers in ${soakSeconds} s, none lost, none twice`)
  },
  soakSeconds * 1000 + 120_000,
)
