import { expect, test } from '@jest/globals'
import { namesInSql, timeOf } from '../../../shared/control/query-names.ts'

/** The names that could be a table's, as `parts` with a mark for a certain table. */
const found = (sql: string) =>
  namesInSql(sql)
    .filter(({ parts, isTable }) => isTable || parts.length > 1)
    .map(({ parts, isTable }) => `${parts.join('.')}${isTable ? '!' : ''}`)

test.each([
  ['select * from main.shop.orders', ['main.shop.orders!']],
  [
    'select o.id from shop.orders o join items on o.id = items.id',
    ['o.id', 'shop.orders!', 'items!', 'o.id', 'items.id'],
  ],
  ['select "from x.y", \'from a.b\' from "we ird"."ta""ble"', ['we ird.ta"ble!']],
  ['select 1 -- from a.b\n, 2 /* from c.d */ from e', ['e!']],
  ['select $$from a.b$$, $x$ from c.d $x$ from e', ['e!']],
  ['select * from read_csv(x) join schema.macro(1)', []],
  ['select 1.5e3 from t', ['t!']],
  ['describe shop.orders', ['shop.orders!']],
  ['select * from main . shop . orders', ['main.shop.orders!']],
  ["select 'open from a.b", []],
])('the names of %s', (sql, expected) => {
  expect(found(sql)).toEqual(expected)
})

test.each([
  ['from t VERSION AS OF 3', { version: 3 }],
  ['from t for version as of 12 where 1 = 1', { version: 12 }],
  ['from t@v7', { version: 7 }],
  ["from t TIMESTAMP AS OF '2026-01-31'", { timestampMs: Date.UTC(2026, 0, 31) }],
  [
    "from t for system_time as of timestamp '2026-01-31 10:00:00.5'",
    { timestampMs: Date.UTC(2026, 0, 31, 10, 0, 0, 500) },
  ],
])('%s is a table as it was', (sql, expected) => {
  const name = namesInSql(sql).find(({ parts }) => parts[0] === 't')

  expect(name).toMatchObject({ ...expected, isTable: true })
})

test.each([
  ['from t version as of 3 as x', false],
  ['from t version as of 3 x where 1 = 1', false],
  ['from t version as of 3 where 1 = 1', true],
  ['from t version as of 3', true],
  ['from (select * from t version as of 3)', true],
  ['from t version as of 3, u', true],
])('%s needs a name of its own: %s', (sql, expected) => {
  expect(namesInSql(sql).find(({ parts }) => parts[0] === 't')!.needsAlias).toBe(expected)
})

test.each([
  ['2026-01-31 10:00:00', Date.UTC(2026, 0, 31, 10)],
  ['2026-01-31T10:00:00Z', Date.UTC(2026, 0, 31, 10)],
  ['2026-01-31 10:00:00+02:00', Date.UTC(2026, 0, 31, 8)],
  ['yesterday', Number.NaN],
])('the time %s', (text, expected) => {
  expect(timeOf(text)).toBe(expected)
})
