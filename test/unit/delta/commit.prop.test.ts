import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { commit } from '../../../shared/delta/commit.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import type { TableChange, TableSnapshot } from '../../../shared/delta/table.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import type { Storage } from '../../../shared/storage/storage.ts'
import { emptyTable, logEntry, seededRandom, testPorts } from '../../support/delta.ts'

/** `rewrite` replaces a row file it read by one of its own, `compact` joins two. Rows are the letters of a file's name. */
type Step = 'append' | 'rewrite' | 'compact'

const steps = fc.array(fc.constantFrom<Step>('append', 'rewrite', 'compact'), { minLength: 1, maxLength: 4 })

const rowsOf = (table: TableSnapshot) => [...table.files.keys()].flatMap((path) => path.split('+')).sort()

function plan(step: Step, table: TableSnapshot, name: string): TableChange | undefined {
  const files = [...table.files.values()]
  if (step === 'append') return { operation: 'WRITE', add: [logEntry(name)], reads: 'nothing' }
  if (step === 'rewrite') {
    const [first] = files
    return first && { operation: 'MERGE', remove: [first], add: [logEntry(`${name}+${first.path}`)], reads: 'table' }
  }
  const [a, b] = files
  return a && b && { operation: 'OPTIMIZE', remove: [a, b], add: [logEntry(`${a.path}+${b.path}`)], reads: 'files' }
}

/** Calls of a storage that wait for a turn, so that two writers interleave at every await. */
function taking(turn: () => Promise<void>, storage: Storage): Storage {
  return {
    ...storage,
    get: (path, range) => turn().then(() => storage.get(path, range)),
    putIfAbsent: (path, bytes) => turn().then(() => storage.putIfAbsent(path, bytes)),
  }
}

test('any interleaving of two writers loses no row and makes none twice', async () => {
  await fc.assert(
    fc.asyncProperty(steps, steps, fc.nat(), async (mine, yours, seed) => {
      const storage = memoryStorage()
      await emptyTable(testPorts(storage))
      const waiting: (() => void)[] = []
      const turn = () => new Promise<void>((resolve) => waiting.push(resolve))
      const expected: string[] = []

      async function writer(name: string, todo: readonly Step[], seed: number) {
        const ports = testPorts(taking(turn, storage), seed)
        for (const [index, step] of todo.entries()) {
          for (;;) {
            const table = (await readSnapshot(ports.storage, 'shop'))!
            const change = plan(step, table, `${name}${index}`)
            if (!change) break
            const result = await commit(table, change, ports)
            if (result.kind !== 'committed') continue
            if (step !== 'compact') expected.push(`${name}${index}`)
            expect(rowsOf(result.snapshot)).toEqual(
              rowsOf((await readSnapshot(storage, 'shop', { version: result.snapshot.version }))!),
            )
            break
          }
        }
      }

      let running = 2
      const both = [writer('a', mine, seed + 1), writer('b', yours, seed + 2)].map((each) =>
        each.finally(() => running--),
      )
      const random = seededRandom(seed)
      while (running > 0) {
        await new Promise((resolve) => setImmediate(resolve))
        waiting.splice(Math.floor(random.next() * waiting.length), 1)[0]?.()
      }
      await Promise.all(both)

      expect(rowsOf((await readSnapshot(storage, 'shop'))!)).toEqual(expected.sort())
    }),
    { numRuns: Number(process.env.SOAK ?? 1) * 60 },
  )
})
