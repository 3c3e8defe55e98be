import { afterAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Row } from '../../shared/core/change.ts'
import { openEngine } from '../../shared/load/engine.ts'
import { steps, tell } from '../support/late-events.ts'
import type { ScriptedTable } from '../support/scripted-source.ts'
import { IDS, play, rowsOf } from '../support/sync-model.ts'
import type { World } from '../support/sync-world.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const numRuns = Number(process.env.SOAK ?? 8)
const { folder, remove: removeFolder } = await temporaryFolder()
const engine = await openEngine({ scratch: folder, threads: 1 })
afterAll(async () => {
  engine.close()
  await removeFolder()
})

/** All that a pipeline was told: the rows of its first copy, and every change after its cutoff. */
type Fact = { id: number; seq: number; name: unknown; extra: unknown; deleted: boolean }

function told({ source }: World, table: ScriptedTable): Fact[] {
  const fact = (row: Row, deleted: boolean): Fact => ({
    id: Number(row.id),
    seq: Number(row.seq),
    name: row.name ?? null,
    extra: row.extra ?? null,
    deleted,
  })
  const changes = table.history.slice(source.cutoff).flat()
  return [
    ...[...source.copied.values()].map((row) => fact(row, false)),
    ...changes.map((each) => (each.op === 'upsert' ? fact(each.row, false) : fact(each.key, true))),
  ]
}

/** The model: what is known of a key, each fact once, in the order of its sequence. */
const historyOf = (facts: readonly Fact[], id: number): Fact[] =>
  [...new Map(facts.filter((each) => each.id === id).map((each) => [each.seq, each])).values()].sort(
    (a, b) => a.seq - b.seq,
  )

const lastOf = (facts: readonly Fact[]) =>
  IDS.flatMap((id) => {
    const last = historyOf(facts, id).at(-1)
    return last && !last.deleted ? [valuesOf(last)] : []
  })

/** A version begins where the tracked columns change or a deleted key comes back, and ends where the next one begins. */
const versionsOf = (facts: readonly Fact[]) =>
  IDS.flatMap((id) => {
    const versions: { start: number; end: number | null; last: Fact }[] = []
    for (const each of historyOf(facts, id)) {
      const current = versions.at(-1)
      const open = current?.end === null
      if (open && !each.deleted && current.last.name === each.name && current.last.extra === each.extra)
        current.last = each
      else {
        if (open) current.end = each.seq
        if (!each.deleted) versions.push({ start: each.seq, end: null, last: each })
      }
    }
    return versions.map(({ start, end, last }) => [...valuesOf(last), start, end])
  })

const valuesOf = (row: Row | Fact) => [row.id, row.seq, row.name, row.extra ?? null]
const asText = (values: unknown) => JSON.stringify(values)

test('SCD_TYPE_1 ends as the model, with late and repeated changes and wherever a run dies', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (played) => {
      const settings = { scdType: 'SCD_TYPE_1', mode: 'cdc', sequenceBy: ['seq'] } as const
      const { world, table, last } = await play(played, settings, engine, tell, 'seq')

      expect((await rowsOf(engine, world, last)).map(valuesOf)).toEqual(lastOf(told(world, table)))
    }),
    { numRuns, endOnFailure: true },
  )
})

test('SCD_TYPE_2 has exactly the versions of the model, with late and repeated changes and wherever a run dies', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (played) => {
      const settings = { scdType: 'SCD_TYPE_2', mode: 'cdc', sequenceBy: ['seq'] } as const
      const { world, table, last } = await play(played, settings, engine, tell, 'seq')

      const rows = await rowsOf(engine, world, last)
      expect(rows.map((row) => [...valuesOf(row), row.__START_AT, row.__END_AT])).toEqual(
        versionsOf(told(world, table)),
      )
    }),
    { numRuns, endOnFailure: true },
  )
})

test('APPEND_ONLY has each row of the copy and each one written since exactly once, wherever a run dies', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (played) => {
      const { world, table, last } = await play(played, { scdType: 'APPEND_ONLY', mode: 'query' }, engine, tell, 'seq')

      const wanted = told(world, table).filter(({ deleted }) => !deleted)
      const rows = (await rowsOf(engine, world, last)).map((row) => asText(valuesOf(row)))
      expect(rows.sort()).toEqual(wanted.map((fact) => asText(valuesOf(fact))).sort())
    }),
    { numRuns, endOnFailure: true },
  )
})
