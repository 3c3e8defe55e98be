import { afterAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { systemClock } from '../../shared/core/clock.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { commit } from '../../shared/delta/commit.ts'
import { addColumns } from '../../shared/delta/evolve.ts'
import { openEngine } from '../../shared/load/engine.ts'
import { historySchema } from '../../shared/load/history-columns.ts'
import { type MergeSpec, merge } from '../../shared/load/merge.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import type { Storage } from '../../shared/storage/storage.ts'
import { crashAt } from '../support/crash.ts'
import { faultyStorage } from '../support/faulty-storage.ts'
import { mergeTable, schemaOf, type TestChange } from '../support/merge-table.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const runs = Number(process.env.SOAK ?? 12)
const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: `${folder}/scratch`, threads: 1 })
const disk = diskStorage(`${folder}/lakehouse`)
const ports = { clock: systemClock, random: systemRandom, engine }
afterAll(async () => {
  engine.close()
  await remove()
})

/** What happened to a key at `seq`. A name is what the history tracks; few, so that neighbours are often equal. */
interface Event {
  id: number
  seq: number
  name?: string | null
  extra?: string
  deleted: boolean
}

/** The order of events is the order of arrival; each has a place of its own in its key's history. */
interface Scenario {
  batches: Event[][]
  /** Before this batch the table gets the column `extra`. */
  grows: number
  /** Where the process dies while it lays a batch, in calls of storage. */
  crashes: number[]
}

const event = fc.record({
  id: fc.integer({ min: 1, max: 4 }),
  seq: fc.integer({ min: 1, max: 12 }),
  name: fc.constantFrom('a', 'b', null),
  kind: fc.constantFrom('put', 'put', 'put', 'delete', 'move', 'truncate'),
})

const scenario: fc.Arbitrary<Scenario> = fc
  .record({
    events: fc.array(fc.array(event, { maxLength: 6 }), { minLength: 1, maxLength: 4 }),
    repeats: fc.array(fc.nat(), { maxLength: 3 }),
    grows: fc.integer({ min: 1, max: 5 }),
    crashes: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 4, maxLength: 4 }),
  })
  .map(({ events, repeats, grows, crashes }) => {
    const facts = new Map<string, Event>()
    const batches = events.map((batch, at) => {
      const told: Event[] = []
      const tell = (fact: Event) => {
        const place = `${fact.id}@${fact.seq}`
        if (!facts.has(place)) facts.set(place, at >= grows ? { ...fact, extra: `${fact.name}+` } : fact)
        told.push(facts.get(place)!)
      }
      for (const { id, seq, name, kind } of batch) {
        if (kind === 'put') tell({ id, seq, name, deleted: false })
        if (kind === 'delete' || kind === 'move') tell({ id, seq, deleted: true })
        if (kind === 'move') tell({ id: (id % 4) + 1, seq, name, deleted: false })
        if (kind === 'truncate') for (const each of [1, 2, 3, 4]) tell({ id: each, seq, deleted: true })
      }
      return told
    })
    const all = batches.flat()
    for (const nth of repeats) if (all.length > 0) batches.at(-1)!.push(all[nth % all.length]!)
    return { batches, grows, crashes }
  })

/** The model: what a table must hold after these events, however they came. */
function rowsOf(events: readonly Event[]): unknown[] {
  return [1, 2, 3, 4].flatMap((id) => {
    const last = historyOf(events, id).at(-1)
    return last && !last.deleted ? [[id, last.seq, last.name, last.extra ?? null]] : []
  })
}

function versionsOf(events: readonly Event[]): unknown[] {
  return [1, 2, 3, 4].flatMap((id) => {
    const versions: { start: number; end: number | null; last: Event }[] = []
    let open = false
    for (const each of historyOf(events, id)) {
      const current = versions.at(-1)
      const same = open && current!.last.name === each.name && current!.last.extra === each.extra
      if (!each.deleted && same) current!.last = each
      else {
        if (open) current!.end = each.seq
        if (!each.deleted) versions.push({ start: each.seq, end: null, last: each })
        open = !each.deleted
      }
    }
    return versions.map(({ start, end, last }) => [id, last.seq, last.name, last.extra ?? null, start, end])
  })
}

const historyOf = (events: readonly Event[], id: number) =>
  [...new Set(events)].filter((each) => each.id === id).sort((a, b) => a.seq - b.seq)

const changeOf = ({ id, seq, name, extra, deleted }: Event): TestChange =>
  deleted ? { row: { id, seq }, deleted } : { row: { id, seq, name, ...(extra ? { extra } : {}) } }

let made = 0

/** Lays the batches on a new table, dying once in each, as a process that finds out by its `txn` what it had done. */
async function play({ batches, grows, crashes }: Scenario, spec: MergeSpec): Promise<Record<string, unknown>[]> {
  const columns = schemaOf({ id: 'long', seq: 'long', name: 'string' })
  const schema = spec.mode === 'SCD_TYPE_2' ? historySchema(columns, spec.sequenceBy) : columns
  const table = await mergeTable(`model${made++}`, schema, { ...ports, storage: disk })
  for (const [at, batch] of batches.entries()) {
    if (at === grows) {
      const grown = addColumns(await table.snapshot(), schemaOf({ extra: 'string' }).fields, systemRandom)!
      const { schema: _, ...change } = grown
      await commit(
        await table.snapshot(),
        { operation: 'ADD COLUMNS', ...change, reads: 'table' },
        { ...ports, storage: disk },
      )
    }
    const staged = await table.stage(batch.map(changeOf))
    const lay = async (storage: Storage) => {
      const snapshot = await table.snapshot()
      if (snapshot.txns.get('model')?.version === at) return
      const { change } = await merge(snapshot, [staged], spec, { ...ports, storage })
      const txn = { appId: 'model', version: at }
      const { kind } = await commit(snapshot, { ...change, txn }, { ...ports, storage })
      if (kind === 'conflict') throw new Error('a lone writer had a conflict')
    }
    const crash = crashAt(crashes[at]!)
    await crash.life(() => lay(faultyStorage(disk, { crash })))
    await lay(disk)
  }
  return table.rows(...(spec.mode === 'SCD_TYPE_2' ? ['id', '__START_AT'] : ['id']))
}

test('SCD type 1 ends as the model, whatever the arrival order and wherever the process dies', async () => {
  const spec: MergeSpec = { mode: 'SCD_TYPE_1', keys: ['id'], sequenceBy: ['seq'] }
  await fc.assert(
    fc.asyncProperty(scenario, async (history) => {
      const rows = await play(history, spec)

      const wanted = rowsOf(history.batches.flat())
      expect(rows.map((row) => [row.id, row.seq, row.name, row.extra ?? null])).toEqual(wanted)
    }),
    { numRuns: runs, endOnFailure: true },
  )
})

test('in the order of arrival, SCD type 1 ends as the model', async () => {
  const spec: MergeSpec = { mode: 'SCD_TYPE_1', keys: ['id'], sequenceBy: [] }
  await fc.assert(
    fc.asyncProperty(scenario, async (history) => {
      let seq = 0
      const batches = history.batches.map((batch) => batch.map((each) => ({ ...each, seq: seq++ })))

      const rows = await play({ ...history, batches }, spec)

      const wanted = rowsOf(batches.flat())
      expect(rows.map((row) => [row.id, row.seq, row.name, row.extra ?? null])).toEqual(wanted)
    }),
    { numRuns: runs, endOnFailure: true },
  )
})

test('SCD type 2 ends as the model: no overlap, no gap that no delete made, one open version a key', async () => {
  const spec: MergeSpec = { mode: 'SCD_TYPE_2', keys: ['id'], sequenceBy: ['seq'] }
  await fc.assert(
    fc.asyncProperty(scenario, async (history) => {
      const rows = await play(history, spec)

      const wanted = versionsOf(history.batches.flat())
      const got = rows.map((row) => [row.id, row.seq, row.name, row.extra ?? null, row.__START_AT, row.__END_AT])
      expect(got).toEqual(wanted)
    }),
    { numRuns: runs, endOnFailure: true },
  )
})
