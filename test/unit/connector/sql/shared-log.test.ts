import { afterEach, expect, test } from '@jest/globals'
import {
  type LogEntries,
  type LogEntry,
  SharedLog,
  type SharedLogLimits,
  type SourceLog,
} from '../../../../shared/connector/sql/shared-log.ts'

/** A log of numbered transactions: what each table was told in them. Counts how often it is read. */
class FakeLog implements SourceLog {
  readonly transactions: Record<string, string[]>[]
  reads: { after: string; tables: readonly string[] }[] = []
  /** Fails before the transaction of this number, once. */
  breaksAt: number | undefined

  constructor(transactions: Record<string, string[]>[]) {
    this.transactions = transactions
  }

  contains(place: string, other: string): boolean {
    return Number(place) >= Number(other)
  }

  async *read({ after, tables }: { after: string; tables: readonly string[] }): LogEntries {
    this.reads.push({ after, tables })
    const upto = this.transactions.length
    for (let number = Number(after); number < upto; number++) {
      if (number === this.breaksAt) {
        this.breaksAt = undefined
        throw new Error('the server is gone')
      }
      const parts = Object.entries(this.transactions[number]!).filter(([table]) => tables.includes(table))
      const entries: LogEntry[] = [
        { kind: 'begin', transaction: () => String(number) },
        ...parts.flatMap(([table, texts]) =>
          texts.map((text): LogEntry => ({ kind: 'part', table, bytes: Buffer.from(text) })),
        ),
        { kind: 'end', place: () => String(number + 1) },
      ]
      while (entries.length > 0) yield entries.splice(0, 10)
      await new Promise(setImmediate)
    }
    yield [{ kind: 'until', place: () => String(upto), more: false }]
  }
}

const open: SharedLog[] = []
afterEach(async () => {
  for (const log of open.splice(0)) await log.close()
})

function shared(fake: FakeLog, limits: Partial<SharedLogLimits> = {}): SharedLog {
  const log = new SharedLog(fake, limits)
  open.push(log)
  return log
}

/** Reads on from a place as a table does, through as many reads as it takes. Transactions of before are left out. */
async function follow(log: SharedLog, table: string, after: number, tables: readonly string[]) {
  const told: string[] = []
  let place = String(after)
  for (let more = true; more; ) {
    const reading = log.open(table, tables, { after: place })
    more = false
    let isOld = false
    try {
      for await (const entries of reading.entries())
        for (const entry of entries) {
          if (entry.kind === 'begin') isOld = Number(entry.transaction()) < after
          else if (entry.kind === 'part' && !isOld) told.push(entry.bytes.toString())
          else if (entry.kind === 'until') {
            place = entry.place()
            more = entry.more
          }
        }
    } finally {
      reading.close()
    }
  }
  return { told, place }
}

/** What a table was told from a transaction on. */
const wanted = (fake: FakeLog, table: string, after = 0) =>
  fake.transactions.slice(after).flatMap((transaction) => transaction[table] ?? [])

function busy(transactions: number, tables: readonly string[], seed = 1): FakeLog {
  let state = seed
  const next = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 8) % below
  }
  return new FakeLog(
    Array.from({ length: transactions }, (_, number) =>
      Object.fromEntries(
        tables
          .filter(() => next(3) === 0)
          .map((table) => [
            table,
            Array.from({ length: 1 + next(5) }, (_, n) => `${number}/${n} ${table}`.repeat(1 + next(20))),
          ]),
      ),
    ),
  )
}

const tables = Array.from({ length: 20 }, (_, n) => `t${n}`)

test('twenty tables, a few at a time, read the log once', async () => {
  const fake = busy(200, tables)
  const log = shared(fake)

  const waiting = [...tables]
  const found = new Map<string, string[]>()
  const worker = async () => {
    for (let table = waiting.shift(); table; table = waiting.shift())
      found.set(table, (await follow(log, table, 0, tables)).told)
  }
  await Promise.all([worker(), worker(), worker()])

  for (const table of tables) expect(found.get(table)).toEqual(wanted(fake, table))
  expect(fake.reads).toEqual([{ after: '0', tables }])
})

test('what does not fit into memory waits on disk, and a long log is read in parts', async () => {
  const fake = busy(300, tables, 7)
  const log = shared(fake, { memoryBytes: 2_000, readBytes: 40_000 })

  for (const table of tables) expect((await follow(log, table, 0, tables)).told).toEqual(wanted(fake, table))

  expect(fake.reads.length).toBeGreaterThan(2)
  // Each part was read once, for all.
  expect(new Set(fake.reads.map(({ after }) => after)).size).toBe(fake.reads.length)
})

test('parts that are not kept any more are read again by who comes late', async () => {
  const fake = busy(300, tables, 9)
  const log = shared(fake, { memoryBytes: 2_000, readBytes: 20_000, keptBytes: 30_000 })

  for (const table of tables.slice(0, 4))
    expect((await follow(log, table, 0, tables)).told).toEqual(wanted(fake, table))

  expect(fake.reads.length).toBeGreaterThan(new Set(fake.reads.map(({ after }) => after)).size)
})

test('a table ahead leaves out what it has, and one behind reads for itself', async () => {
  const fake = busy(100, tables, 3)
  const log = shared(fake)

  expect((await follow(log, 't0', 50, tables)).told).toEqual(wanted(fake, 't0', 50))
  expect((await follow(log, 't1', 80, tables)).told).toEqual(wanted(fake, 't1', 80))
  expect(fake.reads.length).toBe(1)
  expect((await follow(log, 't2', 10, tables)).told).toEqual(wanted(fake, 't2', 10))
  expect(fake.reads.map(({ after }) => after)).toEqual(['50', '10'])
})

test('a table that stops in the middle holds nobody up, and comes again from its place', async () => {
  const fake = busy(100, tables, 5)
  const log = shared(fake)
  const reading = log.open('t0', tables, { after: '0' })
  await reading.entries().next()
  reading.close()

  expect((await follow(log, 't1', 0, tables)).told).toEqual(wanted(fake, 't1'))
  expect((await follow(log, 't0', 0, tables)).told).toEqual(wanted(fake, 't0'))
  expect(fake.reads.length).toBe(1)
})

test('a read that fails is told to all who wait for it, and the next try is another read', async () => {
  const fake = busy(100, tables, 5)
  fake.breaksAt = 60
  const log = shared(fake)

  const failed = await Promise.allSettled(['t0', 't1'].map((table) => follow(log, table, 0, tables)))
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect((await follow(log, 't0', 0, tables)).told).toEqual(wanted(fake, 't0'))
  expect((await follow(log, 't1', 0, tables)).told).toEqual(wanted(fake, 't1'))
  expect(fake.reads.length).toBe(2)
})

test('one transaction beyond all room is a passing fault, and then tables read for themselves', async () => {
  const fake = busy(10, tables)
  fake.transactions[4] = { t0: Array.from({ length: 100 }, () => 'x'.repeat(1000)) }
  const log = shared(fake, { readBytes: 1_000, giveUpBytes: 50_000, memoryBytes: 5_000 })

  await expect(follow(log, 't1', 0, tables)).rejects.toMatchObject({ code: 'source.unavailable', remedy: 'retry' })
  expect((await follow(log, 't0', 0, tables)).told).toEqual(wanted(fake, 't0'))
  expect(fake.reads.at(-1)).toEqual({ after: '0', tables: ['t0'] })
})

test('a log that is closed ends its reads, and who still waits is told', async () => {
  const fake = busy(100_000, ['t0', 't1'])
  const log = shared(fake)
  const following = follow(log, 't0', 0, ['t0', 't1']).catch((error: { code: string }) => error.code)
  await new Promise((done) => setTimeout(done, 20))

  await log.close()

  expect(await following).toBe('source.unavailable')
})
