import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { IngestError } from '../../../shared/core/errors.ts'
import { commit } from '../../../shared/delta/commit.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import { type CommitLog, commitOnce, recover } from '../../../shared/load/commit-once.ts'
import { commitLog } from '../../../shared/load/target.ts'
import { memoryState } from '../../../shared/state/memory.ts'
import type { StateStore } from '../../../shared/state/state-store.ts'
import { readWriter, saveWriter, takeWriter } from '../../../shared/state/writers.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import type { Storage } from '../../../shared/storage/storage.ts'
import { everyCrashPoint } from '../../support/crash.ts'
import { emptyTable, logEntry, testPorts } from '../../support/delta.ts'
import { faultyState } from '../../support/faulty-state.ts'
import { faultyStorage } from '../../support/faulty-storage.ts'

const key = { partition: 'pipeline/p', sort: 'writer/s' }
const LAST = 4

/** A world with an empty table. */
async function world(): Promise<{ storage: Storage; store: StateStore }> {
  const storage = memoryStorage()
  await emptyTable(testPorts(storage))
  return { storage, store: memoryState() }
}

let processes = 0

/** What a process does: take the writer, recover, then commit rows after the cursor one by one until LAST. */
async function ingest({ storage, store }: { storage: Storage; store: StateStore }): Promise<void> {
  const seed = ++processes
  const ports = testPorts(storage, seed)
  const log = commitLog((await readSnapshot(storage, 'shop'))!, ports)
  const writer = await takeWriter<number>(store, key, 'p/s', `process ${seed}`)
  await recover(writer, log)
  for (let row = (writer.current.state ?? 0) + 1; row <= LAST; row++) {
    const add = [logEntry(`${row}-${ports.random.uuid()}.parquet`)]
    await commitOnce(writer, log, {
      next: row,
      changeOf: async () => ({ operation: 'WRITE', add, reads: 'nothing' }),
    })
  }
}

/** The rows of the table, one for each file. */
async function rowsOf(storage: Storage): Promise<number[]> {
  const table = await readSnapshot(storage, 'shop')
  return [...table!.files.values()].map(({ path }) => Number(path.split('-')[0])).sort()
}

const whole = Array.from({ length: LAST }, (_, i) => i + 1)

test('rows are committed once whichever await the process dies at', async () => {
  const points = await everyCrashPoint(async (crash) => {
    const { storage, store } = await world()

    await crash.life(() => ingest({ storage: faultyStorage(storage, { crash }), store: faultyState(store, { crash }) }))
    await ingest({ storage, store })

    expect(await rowsOf(storage)).toEqual(whole)
  })

  expect(points).toBeGreaterThan(40)
})

test('rows are committed once when the reply of any one write is lost', async () => {
  for (const fault of ['loseReplyAfterWrite', 'failBeforeWrite'] as const)
    for (let n = 1; n <= 12; n++) {
      const { storage, store } = await world()
      for (const faulty of [
        { storage: faultyStorage(storage, { [fault]: n }), store },
        { storage, store: faultyState(store, { [fault]: n }) },
      ])
        await ingest(faulty).catch((error) => expect(error).toMatchObject({ remedy: 'retry' }))

      await ingest({ storage, store })

      expect(await rowsOf(storage)).toEqual(whole)
    }
})

test('two owners in any interleaving, one of them outlived, commit every row once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const { storage, store } = await world()
      const slow = <T extends object>(port: T): T =>
        new Proxy(port, {
          get: (target, name) => {
            const value = Reflect.get(target, name)
            if (typeof value !== 'function' || name === 'list' || name === 'writer') return value
            return async (...args: unknown[]) => {
              await scheduler.schedule(Promise.resolve())
              return await value.apply(target, args)
            }
          },
        })
      const process = async () => {
        for (let attempt = 0; attempt < 4; attempt++)
          try {
            return await ingest({ storage: slow(storage), store: slow(store) })
          } catch (error) {
            expect(error).toMatchObject({ remedy: 'retry' })
          }
      }

      const both = Promise.all([process(), process(), process()])
      await scheduler.waitFor(both)
      await ingest({ storage, store })

      expect(await rowsOf(storage)).toEqual(whole)
    }),
    { numRuns: Number(process.env.SOAK ?? 0) || 60 },
  )
})

test('a commit that was only slow is settled by the owner that came after it', async () => {
  const { storage, store } = await world()
  const log = commitLog((await readSnapshot(storage, 'shop'))!, testPorts(storage))
  const slow = await takeWriter<number>(store, key, 'p/s', 'slow')
  const before = await log.read()
  await saveWriter(slow, { ...slow.current, issued: 1, pending: [{ seq: 1, next: 1 }] })

  const fast = await takeWriter<number>(store, key, 'p/s', 'fast')
  await recover(fast, log)
  await commit(
    before,
    { operation: 'WRITE', add: [logEntry('1-a.parquet')], reads: 'nothing', txn: { appId: 'p/s', version: 1 } },
    testPorts(storage, 2),
  )
  const late = commitOnce(fast, log, {
    next: 1,
    snapshot: before,
    changeOf: async () => ({ operation: 'WRITE', add: [logEntry('1-b.parquet')], reads: 'nothing' }),
  })

  await expect(late).rejects.toMatchObject({ code: 'state.lease_held' })
  await ingest({ storage, store })
  expect(await rowsOf(storage)).toEqual(whole)
})

test('a number is never given to two intents', async () => {
  const { storage, store } = await world()
  const log = commitLog((await readSnapshot(storage, 'shop'))!, testPorts(storage))
  const refused: CommitLog = {
    read: log.read,
    commit: async () => {
      throw new IngestError('storage.unavailable', 'injected')
    },
  }
  const changeOf = async () => ({ operation: 'WRITE', reads: 'nothing' }) as const
  for (let i = 0; i < 3; i++) {
    const writer = await takeWriter<number>(store, key, 'p/s', `owner ${i}`)
    await recover(writer, log)
    await expect(commitOnce(writer, refused, { next: 1, changeOf })).rejects.toMatchObject({ remedy: 'retry' })
  }

  const state = await readWriter<number>(store, key)

  expect(state?.pending.map(({ seq }) => seq)).toEqual([1, 2, 3])
  expect(state?.seq).toBe(0)
})

test('undecided intents do not pile up: an empty commit decides them', async () => {
  const { storage, store } = await world()
  await ingest({ storage, store })
  const log = commitLog((await readSnapshot(storage, 'shop'))!, testPorts(storage))
  const writer = await takeWriter<number>(store, key, 'p/s', 'crashing')
  const { seq } = writer.current
  const pending = Array.from({ length: 16 }, (_, i) => ({ seq: seq + 1 + i, next: 99 }))
  await saveWriter(writer, { ...writer.current, issued: seq + 16, pending })

  await recover(writer, log)

  expect(writer.current).toMatchObject({ seq: seq + 17, state: LAST, pending: [] })
  expect(await rowsOf(storage)).toEqual(whole)
})

test('a table restored to before our commits, or a lost state, asks for a new copy', async () => {
  const { storage, store } = await world()
  await ingest({ storage, store })
  const log = commitLog((await readSnapshot(storage, 'shop'))!, testPorts(storage))

  const lostState = await takeWriter<number>(memoryState(), key, 'p/s', 'new')
  const lostTable = await takeWriter<number>(store, key, 'p/s', 'new')
  const other = memoryStorage()
  const restored = await emptyTable(testPorts(other))

  expect(await recover(lostState, log)).toMatchObject({ reset: true })
  expect(lostState.current).toMatchObject({ seq: LAST, issued: LAST, state: null })
  expect(await recover(lostTable, commitLog(restored, testPorts(other)))).toMatchObject({ reset: true })
  expect(lostTable.current).toMatchObject({ seq: 0, issued: LAST, state: null })
})

test('a commit on a table that is known costs two reads and two writes of storage, and no listing', async () => {
  const { storage, store } = await world()
  const known = (await readSnapshot(storage, 'shop'))!
  const calls: string[] = []
  const counting = new Proxy(storage, {
    get(target, name: keyof Storage) {
      const method = target[name]
      if (typeof method !== 'function') return method
      return (...given: never[]) => {
        calls.push(name)
        return (method as (...args: never[]) => unknown).apply(target, given)
      }
    },
  })

  const log = commitLog(known, testPorts(counting))
  const writer = await takeWriter<number>(store, key, 'p/s', 'a process')
  const { snapshot } = await recover(writer, log)
  await commitOnce(writer, log, {
    next: 1,
    snapshot,
    changeOf: async () => ({ operation: 'WRITE', add: [logEntry('a')], reads: 'nothing' }),
  })

  expect(calls).toEqual(['get', 'get', 'putIfAbsent', 'putIfAbsent'])
})
