import { afterAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Change, remove, upsert } from '../../shared/core/change.ts'
import { openEngine } from '../../shared/load/engine.ts'
import { ScriptedSource, type ScriptedTable } from '../support/scripted-source.ts'
import { columns, IDS, play, rowsOf, type Step } from '../support/sync-model.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const numRuns = Number(process.env.SOAK ?? 8)
const { folder, remove: removeFolder } = await temporaryFolder()
const engine = await openEngine({ scratch: folder, threads: 1 })
afterAll(async () => {
  engine.close()
  await removeFolder()
})

/** `move`: the key of the row changes to the next one. */
interface Happening {
  id: number
  name: string | null
  kind: 'put' | 'delete' | 'move' | 'truncate'
}

const change = fc.record({
  id: fc.constantFrom(...IDS),
  name: fc.constantFrom('a', 'b', null),
  kind: fc.constantFrom(
    'put' as const,
    'put' as const,
    'put' as const,
    'delete' as const,
    'move' as const,
    'truncate' as const,
  ),
})
const steps: fc.Arbitrary<Step<Happening>[]> = fc.array(
  fc.record({
    changes: fc.array(change, { maxLength: 5 }),
    grows: fc.boolean(),
    meanwhile: fc.array(change, { maxLength: 3 }),
    at: fc.integer({ min: 1, max: 8 }),
    fullRefresh: fc.boolean(),
    crash: fc.integer({ min: 1, max: 300 }),
  }),
  { minLength: 1, maxLength: 4 },
)

/** The source's next transaction. Each change has a sequence of its own, as rows of the source do; a delete tells none. */
function happen(table: ScriptedTable, { id, name, kind }: Happening): void {
  const there = new Map([...ScriptedSource.rows(table).values()].map(({ row }) => [Number(row.id), row]))
  const grown = table.schema.fields.length > columns.length
  const put = (to: number): Change => {
    const seq = 10 * (table.history.length + 1)
    return upsert({ id: to, seq, name, ...(grown && { extra: `${name}+` }) })
  }
  const gone = (which: number[]) => which.filter((each) => there.has(each)).map((each) => remove({ id: each }))
  if (kind === 'put') table.history.push([put(id)])
  if (kind === 'delete') table.history.push(gone([id]))
  if (kind === 'move') table.history.push([...gone([id]), put((id % IDS.length) + 1)])
  if (kind === 'truncate') table.history.push(gone(IDS))
}

/** What the source holds, as the table must. A row from before `extra` has none. */
const present = (table: ScriptedTable) =>
  [...ScriptedSource.rows(table).values()]
    .map(({ row }) => [Number(row.id), row.seq, row.name, row.extra ?? null])
    .sort(([a], [b]) => Number(a) - Number(b))
const values = (row: Record<string, unknown>) => [row.id, row.seq, row.name, row.extra ?? null]

test.each([
  ['SCD_TYPE_1', 'cdc', []],
  ['SCD_TYPE_1', 'cdc', ['seq']],
  ['SCD_TYPE_1', 'snapshot', []],
] as const)(
  '%s read by %s in order of %j ends as the source, wherever a run dies',
  async (scdType, mode, sequenceBy) => {
    await fc.assert(
      fc.asyncProperty(steps, async (played) => {
        const { world, table, last } = await play(played, { scdType, mode, sequenceBy, maxShrink: 1 }, engine, happen)

        expect((await rowsOf(engine, world, last)).map(values)).toEqual(present(table))
      }),
      { numRuns, endOnFailure: true },
    )
  },
)

test.each([['seq'], []])(
  'SCD_TYPE_2 in order of %j: open versions are the source, and none overlaps another',
  async (...sequenceBy) => {
    await fc.assert(
      fc.asyncProperty(steps, async (played) => {
        const { world, table, last } = await play(
          played,
          { scdType: 'SCD_TYPE_2', mode: 'cdc', sequenceBy },
          engine,
          happen,
        )

        const rows = await rowsOf(engine, world, last)
        expect(rows.filter((row) => row.__END_AT === null).map(values)).toEqual(present(table))
        for (const id of IDS) {
          const versions = rows.filter((row) => row.id === id)
          versions.forEach((version, at) => {
            const next = versions[at + 1]
            if (next) expect(Number(version.__END_AT)).toBeLessThanOrEqual(Number(next.__START_AT))
            expect(version.__END_AT === null || Number(version.__END_AT) > Number(version.__START_AT)).toBe(true)
          })
        }
      }),
      { numRuns, endOnFailure: true },
    )
  },
)

test('APPEND_ONLY has every row that was written after the last copy, once, and those that were there then', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (played) => {
      const { world, table, last } = await play(played, { scdType: 'APPEND_ONLY', mode: 'query' }, engine, happen)

      const rows = (await rowsOf(engine, world, last)).map((row) => JSON.stringify(values(row)))
      expect(new Set(rows).size).toBe(rows.length)
      const written = table.history
        .flat()
        .flatMap((each) => (each.op === 'upsert' ? [JSON.stringify(values({ extra: null, ...each.row }))] : []))
      expect(written).toEqual(expect.arrayContaining(rows))
      expect(rows).toEqual(expect.arrayContaining(present(table).map((row) => JSON.stringify(row))))
    }),
    { numRuns, endOnFailure: true },
  )
})
