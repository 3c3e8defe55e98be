import { afterAll, expect, test } from '@jest/globals'
import { systemClock } from '../../../shared/core/clock.ts'
import { openEngine } from '../../../shared/load/engine.ts'
import type { MergeSpec } from '../../../shared/load/merge.ts'
import { diskStorage } from '../../../shared/storage/disk.ts'
import { gone, mergeTable, put, schemaOf } from '../../support/merge-table.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const { folder, remove } = await temporaryFolder()
const engine = await openEngine({ scratch: `${folder}/scratch`, threads: 1 })
const storage = diskStorage(`${folder}/lakehouse`)
afterAll(async () => {
  engine.close()
  await remove()
})

let made = 0
const tableOf = (types: Record<string, string>) =>
  mergeTable(`t${made++}`, schemaOf(types), { storage, engine, clock: systemClock })
const spec = (more: Partial<MergeSpec> = {}): MergeSpec => ({
  mode: 'SCD_TYPE_1',
  keys: ['id'],
  sequenceBy: [],
  ...more,
})

// Names of the engine's own, and of what a merge makes.
const names = ['file_index', 'file_row_number', 'filename', 'rowid', 'stored', 'doomed', '__file', 'path', 'k', 's']

test.each(names)('a column may be called %s', async (name) => {
  for (const mode of ['SCD_TYPE_1', 'SCD_TYPE_2'] as const) {
    const history = mode === 'SCD_TYPE_2' ? { __START_AT: 'long', __END_AT: 'long' } : {}
    const table = await tableOf({ id: 'long', [name]: 'long', seq: 'long', ...history })
    const how = spec({ mode, sequenceBy: ['seq'] })
    const change = (id: number, value: number, seq: number) => put({ id, [name]: value, seq })

    await table.apply([change(1, 90, 1), change(2, 80, 1), change(3, 70, 1)], how)
    await table.apply([change(2, 60, 2), gone({ id: 3, seq: 2 }), change(2, 50, 3)], how)

    const open = (await table.rows('id')).filter((row) => row.__END_AT == null)
    expect(open.map((row) => [row.id, row[name]])).toEqual([
      [1, 90],
      [2, 50],
    ])
  }
})

test.each(names)('a key may be called %s, and arrivals keep their order', async (name) => {
  const table = await tableOf({ [name]: 'long', v: 'long' })
  const how = spec({ keys: [name] })

  await table.apply([put({ [name]: 9, v: 1 }), put({ [name]: 8, v: 1 })], how)
  await table.apply([put({ [name]: 8, v: 3 }), put({ [name]: 8, v: 2 }), gone({ [name]: 9 })], how)

  expect(await table.rows(name)).toEqual([{ [name]: 8, v: 2 }])
})

test.each([
  [
    'text that differs in case, blanks and accents',
    'string',
    ['a', 'A', 'a ', ' a', 'á', 'a\u0301', '', 'ß', 'ss', 'x'.repeat(100_000), `${'x'.repeat(99_999)}y`],
  ],
  ['decimals', 'decimal(38,10)', ['1', '1.0000000001', '-1', '9999999999999999999999999999.9999999999', '0']],
  [
    'days before the Gregorian calendar',
    'date',
    ['0001-01-01', '1582-10-04', '1582-10-15', '1969-12-31', '9999-12-31'],
  ],
  [
    'times a microsecond apart',
    'timestamp',
    [
      '1500-01-01 00:00:00.000001+00',
      '1500-01-01 00:00:00.000002+00',
      '1969-12-31 23:59:59.999999+00',
      '2020-01-01 00:00:00.001999+00',
      '2020-01-01 00:00:00.001998+00',
    ],
  ],
  ['floats', 'double', ['NaN', '-0.0', '1e308', '-1e-308', 'Infinity', '-Infinity']],
  ['bytes that are no text', 'binary', ['\\x00', '\\x00\\x00', '\\xFF', 'q', '']],
] as const)('keys are told apart and found again: %s', async (_, type, keys) => {
  const table = await tableOf({ id: type, v: 'long' })

  await table.apply(
    keys.map((id) => put({ id, v: 1 })),
    spec(),
  )
  // One at a time: a single key is looked up otherwise than many.
  for (const [index, id] of keys.entries()) await table.apply([put({ id, v: index + 2 })], spec())
  const rows = await table.rows('v')
  await table.apply([gone({ id: keys[0] })], spec())

  expect(rows.map(({ v }) => v)).toEqual(keys.map((_, index) => index + 2))
  expect(await table.rows('v')).toHaveLength(keys.length - 1)
})
