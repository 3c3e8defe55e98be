import { type ChildProcess, fork } from 'node:child_process'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ZerobusSdk } from '../../sdk/index.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import { rowsByFile } from './push.ts'

export interface Fire {
  folder: string
  seconds: number
  /** Beside one more with a spool, which is killed too. */
  producers: number
  /** Of each producer. */
  recordsPerSecond: number
  /** Hears of the progress every few seconds. */
  say?(line: string): void
}

/** What the table holds beside what was acknowledged, and what was done to it. */
export interface Aftermath {
  /** Records that fit the table. */
  acknowledged: number
  /** Sent, and never acknowledged to a producer that gave up: these may be in the table once. */
  inDoubt: number
  rows: number
  lost: number
  duplicated: number
  /** Of nobody. */
  unknown: number
  /** Acknowledged records that do not fit the table, less those that their producer was told of. */
  untold: number
  /** Files in which the records of a session do not stand by offset. */
  outOfOrder: number
  serverKills: number
  producerKills: number
  cuts: number
  /** Producers or servers that did not end in their time. */
  stuck: string[]
}

/** A producer that could not get all acknowledged within this is `stuck`, as is a server that does not stop. */
const PATIENCE_MS = 240_000
const SERVER_CHILD = join(import.meta.dirname, 'push-server-child.ts')
const PRODUCER_CHILD = join(import.meta.dirname, 'push-producer-child.ts')

/**
 * Producers, one of them with a spool, write into one table while the server is SIGKILLed at random, connections are cut,
 * the queue delivers everything twice, and the producer with the spool is SIGKILLed. Always ends, with counts: nothing is lost, doubled or out of
 * order when the table holds what was acknowledged.
 */
export async function underFire({
  folder,
  seconds,
  producers,
  recordsPerSecond,
  say = () => {},
}: Fire): Promise<Aftermath> {
  const front = await proxy()
  const done = { serverKills: 0, producerKills: 0, cuts: 0, stuck: [] as string[] }
  const sent = new Map<string, Sent>()
  const beginMs = performance.now()
  let server = await startServer(folder, front)
  let startMs = performance.now() - beginMs
  const startedMs = Date.now()
  const endMs = startedMs + seconds * 1000

  async function steady(name: string) {
    const counts = { sent: 0, acknowledged: 0, told: 0 }
    sent.set(name, counts)
    const onReject = (_: unknown, count: number) => {
      counts.told += count
    }
    const stream = await new ZerobusSdk(front.url, { token: 'secret' }).createStream(
      { tableName: 'main.events.clicks' },
      { recoveryBackoffMs: 50, lingerMs: 5, recoveryTimeoutMs: 3600_000, flushTimeoutMs: PATIENCE_MS, onReject },
    )
    try {
      for (; Date.now() < endMs; await sleep(50)) {
        const due = Math.ceil(((Date.now() - startedMs) / 1000) * recordsPerSecond) - counts.sent
        if (due <= 0) continue
        await stream.ingestRecordsOffset(recordsOf(name, counts.sent, Math.min(due, 200)))
        counts.sent += Math.min(due, 200)
      }
      await stream.close()
    } catch (error) {
      done.stuck.push(`${name}: ${error}`)
    }
    counts.acknowledged = counts.sent - (await stream.getUnackedRecords()).length
  }

  /** What it put into its spool counts as sent; all of it must be acknowledged in the end. */
  async function spooling(name: string) {
    const counts = { sent: 0, acknowledged: 0, told: undefined }
    sent.set(name, counts)
    const start = () => {
      const producer = fork(PRODUCER_CHILD, [front.url, join(folder, 'spool'), name, String(recordsPerSecond)], {
        execArgv: [],
      })
      producer.on('message', (message) => {
        counts.sent = Math.max(counts.sent, (message as { spooled: number }).spooled)
      })
      return producer
    }
    let producer = start()
    while (Date.now() < endMs) {
      await sleep(1500 + Math.random() * 2000)
      producer.kill('SIGKILL')
      done.producerKills++
      await gone(producer)
      producer = start()
    }
    await sleep(1000)
    producer.send('stop')
    if (await stops(producer, name)) counts.acknowledged = counts.sent
  }

  async function killing() {
    do {
      // Where a server takes long to start, the machine is busy: it also takes longer to do anything in its life.
      await sleep((1500 + Math.random() * 3000) * Math.max(1, startMs / 1000))
      done.cuts += front.cut()
      await sleep(Math.random() * 300)
      server.kill('SIGKILL')
      done.serverKills++
      await gone(server)
      const goneMs = performance.now()
      server = await startServer(folder, front)
      startMs = performance.now() - goneMs
    } while (Date.now() < endMs - 2000)
  }

  async function stops(process: ChildProcess, name: string): Promise<boolean> {
    const late = setTimeout(() => process.kill('SIGKILL'), PATIENCE_MS)
    await gone(process)
    clearTimeout(late)
    if (process.exitCode !== 0) done.stuck.push(`${name} ended with ${process.exitCode ?? process.signalCode}`)
    return process.exitCode === 0
  }

  const progress = setInterval(() => {
    const records = [...sent.values()].reduce((sum, counts) => sum + counts.sent, 0)
    const { serverKills, producerKills, cuts } = done
    say(
      `${Math.round((Date.now() - startedMs) / 1000)} s: ${records} records sent, ${serverKills} servers and ${producerKills} producers killed, ${cuts} connections cut`,
    )
  }, 5000)
  const names = Array.from({ length: producers }, (_, p) => `p${p}`)
  await Promise.all([...names.map(steady), spooling('s'), killing()])
  clearInterval(progress)
  say(`${Math.round((Date.now() - startedMs) / 1000)} s: all producers have ended`)
  // What a server leaves behind at its end, a second delivery that waits for its time, the next one settles.
  for (const last of [server, undefined]) {
    const stopping = last ?? (await startServer(folder, front))
    stopping.send('stop')
    await stops(stopping, 'the server')
  }
  await front.close()
  say(`${Math.round((Date.now() - startedMs) / 1000)} s: the server has stopped`)
  return { ...(await compare(folder, sent)), ...done }
}

interface Sent {
  sent: number
  acknowledged: number
  /** Records it was told do not fit. Undefined: all of its records fit. */
  told: number | undefined
}

const isBad = (n: number) => n % 40 === 7

/** Every row of the table beside what each producer sent. */
async function compare(folder: string, sent: Map<string, Sent>) {
  const counts = new Map([...sent].map(([name, { sent }]) => [name, new Uint8Array(sent)]))
  const found = { rows: 0, lost: 0, duplicated: 0, unknown: 0, untold: 0, outOfOrder: 0, acknowledged: 0, inDoubt: 0 }
  for await (const file of rowsByFile(diskStorage(join(folder, 'lake')))) {
    const last = new Map<string, number>()
    let inOrder = true
    for (const { id, n } of file) {
      const [name, offset] = String(id).split(':') as [string, string]
      const of = counts.get(name)
      found.rows++
      if (!of || Number(n) !== Number(offset) || Number(n) >= of.length) {
        found.unknown++
        continue
      }
      of[Number(n)]!++
      inOrder &&= Number(n) > (last.get(name) ?? -1)
      last.set(name, Number(n))
    }
    if (!inOrder) found.outOfOrder++
  }
  for (const [name, times] of counts) {
    const { acknowledged, told } = sent.get(name)!
    const fits = (n: number) => told === undefined || !isBad(n)
    const bad = Array.from(times.subarray(0, acknowledged).keys()).filter((n) => !fits(n)).length
    found.acknowledged += acknowledged - bad
    found.untold += bad - (told ?? 0)
    found.inDoubt += times.length - acknowledged
    found.lost += times.filter((count, n) => count === 0 && n < acknowledged && fits(n)).length
    found.duplicated += times.filter((count) => count > 1).length
  }
  return found
}

/** Some of them do not fit the table. */
const recordsOf = (name: string, from: number, count: number) =>
  Array.from({ length: count }, (_, i) => from + i).map((n) =>
    isBad(n) ? `{"id":${n}}` : `{"id":"${name}:${n}","n":${n}}`,
  )

/** A stable address in front of a server that comes and goes; `cut` breaks one connection in the middle of whatever it does. */
async function proxy() {
  const open = new Set<Socket>()
  let target = 0
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
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
    use(port: number) {
      target = port
    },
    /** How many: one, if any is open. */
    cut(): number {
      const sockets = [...open]
      sockets[Math.floor(Math.random() * sockets.length)]?.destroy()
      return Math.min(1, sockets.length)
    },
    async close() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function startServer(folder: string, front: { use(port: number): void }): Promise<ChildProcess> {
  const server = fork(SERVER_CHILD, [folder], { execArgv: [] })
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
