import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import type { ChangeStream, SnapshotStream } from '../../shared/connector/connector.ts'
import { postgres } from '../../shared/connectors/postgres/postgres.ts'
import type { LogicalType } from '../../shared/schema/types.ts'
import { type Connected, collect, connect } from '../support/connector-run.ts'
import { createDatabase, serverVersion, type TestDatabase } from '../support/postgres.ts'
import { Replica } from '../support/replica.ts'

jest.setTimeout(60_000)

let database: TestDatabase
let source: Connected

beforeAll(async () => {
  database = await createDatabase()
  await database.query(`create extension hstore; create extension citext;
    create type mood as enum ('sad', 'glad');
    create type spot as (x int, label text, at timestamptz);
    create domain positive as int check (value > 0);
    create domain price as numeric(8,2);
    create domain tags as text[];
    create type floats as range (subtype = float8)`)
  source = await connect(postgres, database.config)
})
afterAll(async () => {
  await source[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const of = (kind: Exclude<LogicalType['kind'], 'decimal' | 'struct' | 'array' | 'map'>): LogicalType => ({ kind })
const decimal = (precision: number, scale: number): LogicalType => ({ kind: 'decimal', precision, scale })
const arrayOf = (element: LogicalType): LogicalType => ({ kind: 'array', element, containsNull: true })

/** Type of the column, what it becomes, and values as SQL with the cell that leaves the connector. */
const cases: readonly [string, LogicalType, readonly (readonly [string, string])[]][] = [
  [
    'boolean',
    of('boolean'),
    [
      ['true', 't'],
      ['false', 'f'],
    ],
  ],
  [
    'smallint',
    of('short'),
    [
      ['-32768', '-32768'],
      ['32767', '32767'],
    ],
  ],
  [
    'integer',
    of('integer'),
    [
      ['-2147483648', '-2147483648'],
      ['2147483647', '2147483647'],
    ],
  ],
  [
    'bigint',
    of('long'),
    [
      ['-9223372036854775808', '-9223372036854775808'],
      ['9223372036854775807', '9223372036854775807'],
    ],
  ],
  [
    'real',
    of('float'),
    [
      ["'0.1'", '0.1'],
      ["'NaN'", 'NaN'],
      ["'-Infinity'", '-Infinity'],
      ["'3.4028235e38'", '3.4028235e+38'],
      ["'1e-45'", '1e-45'],
    ],
  ],
  [
    'double precision',
    of('double'),
    [
      ['0.1', '0.1'],
      ["'Infinity'", 'Infinity'],
      ["'NaN'", 'NaN'],
      ['1.7976931348623157e308', '1.7976931348623157e+308'],
      ["'5e-324'", '5e-324'],
      ["'-0'", '-0'],
    ],
  ],
  [
    'numeric(10,2)',
    decimal(10, 2),
    [
      ['-99999999.99', '-99999999.99'],
      ['0.1', '0.10'],
    ],
  ],
  [
    'numeric(38,18)',
    decimal(38, 18),
    [['-99999999999999999999.999999999999999999', '-99999999999999999999.999999999999999999']],
  ],
  ['numeric(5,-2)', decimal(7, 0), [['1234567', '1234600']]],
  ['numeric(3,5)', decimal(5, 5), [['0.00123', '0.00123']]],
  ['numeric(50,10)', of('string'), [['1e39', '1000000000000000000000000000000000000000.0000000000']]],
  [
    'numeric',
    of('string'),
    [
      ['1.10', '1.10'],
      ["'NaN'", 'NaN'],
      ["'Infinity'", 'Infinity'],
      ['123456789012345678901234567890123456789012345.000001', '123456789012345678901234567890123456789012345.000001'],
    ],
  ],
  [
    'money',
    decimal(19, 2),
    [
      ["'-1234.56'::numeric", '-1234.56'],
      ['92233720368547758.07::numeric', '92233720368547758.07'],
    ],
  ],
  [
    'text',
    of('string'),
    [
      ["'a\tb\nc\\d'", 'a\tb\nc\\d'],
      ["''", ''],
      ["'\\N'", '\\N'],
      ["'ünï 𝄞 漢'", 'ünï 𝄞 漢'],
    ],
  ],
  ['character varying(10)', of('string'), [["'abc  '", 'abc  ']]],
  ['character(5)', of('string'), [["'ab'", 'ab   ']]],
  ['name', of('string'), [["'ident'", 'ident']]],
  ['"char"', of('string'), [["'x'", 'x']]],
  ['citext', of('string'), [["'MiXed'", 'MiXed']]],
  ['uuid', of('string'), [["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']]],
  [
    'bytea',
    of('binary'),
    [
      ["'\\x00ff5c'", '\\x00ff5c'],
      ["''", '\\x'],
    ],
  ],
  [
    'date',
    of('date'),
    [
      ["'0001-01-01'", '0001-01-01'],
      ["'2024-02-29'", '2024-02-29'],
      ["'9999-12-31'", '9999-12-31'],
      ["'infinity'", '9999-12-31'],
      ["'-infinity'", '0001-01-01'],
      ["'0044-03-15 BC'", '0044-03-15 BC'],
      ["'5874897-12-31'", '5874897-12-31'],
    ],
  ],
  [
    'timestamp with time zone',
    of('timestamp'),
    [
      ["'2026-03-29 02:30:00.123456+02'", '2026-03-29 00:30:00.123456+00'],
      ["'0001-01-01 00:00:00+00'", '0001-01-01 00:00:00+00'],
      ["'infinity'", '9999-12-31 23:59:59.999999+00'],
      ["'-infinity'", '0001-01-01 00:00:00+00'],
      ["'0044-03-15 12:00:00+00 BC'", '0044-03-15 12:00:00+00 BC'],
      ["'294276-12-31 23:59:59.999999+00'", '294276-12-31 23:59:59.999999+00'],
    ],
  ],
  [
    'timestamp without time zone',
    of('timestamp'),
    [
      ["'2026-03-29 02:30:00.123456'", '2026-03-29 02:30:00.123456'],
      ["'2026-01-01 24:00:00'", '2026-01-02 00:00:00'],
      ["'infinity'", '9999-12-31 23:59:59.999999'],
      ["'-infinity'", '0001-01-01 00:00:00'],
    ],
  ],
  ['timestamp(3) with time zone', of('timestamp'), [["'2026-01-01 00:00:00.1236+00'", '2026-01-01 00:00:00.124+00']]],
  [
    'time without time zone',
    of('string'),
    [
      ["'24:00:00'", '24:00:00'],
      ["'23:59:59.999999'", '23:59:59.999999'],
    ],
  ],
  ['time with time zone', of('string'), [["'10:00:00+05:30'", '10:00:00+05:30']]],
  [
    'interval',
    of('string'),
    [
      ["'1 year -2 mons 3 days 04:05:06.789'", 'P10M3DT4H5M6.789S'],
      ["'0'", 'PT0S'],
      ["'-1 day 2 hours'", 'P-1DT2H'],
    ],
  ],
  ['json', of('variant'), [[`'{"b": 1,  "a": [1.10, null]}'`, '{"b": 1,  "a": [1.10, null]}']]],
  [
    'jsonb',
    of('variant'),
    [
      [`'{"b": 1, "a": "x\\ny"}'`, '{"a": "x\\ny", "b": 1}'],
      ["'null'", 'null'],
    ],
  ],
  ['mood', of('string'), [["'glad'", 'glad']]],
  ['positive', of('integer'), [['7', '7']]],
  ['price', decimal(8, 2), [['1.5', '1.50']]],
  ['tags', arrayOf(of('string')), [["array['a', null, 'b\"c']", '["a",null,"b\\"c"]']]],
  [
    'spot',
    of('variant'),
    [["row(1, 'a,b', '2026-01-01 00:00:00+00')", '{"x":1,"label":"a,b","at":"2026-01-01T00:00:00+00:00"}']],
  ],
  [
    'integer[]',
    arrayOf(of('integer')),
    [
      ["'{1,null,3}'", '[1,null,3]'],
      ["'{}'", '[]'],
      ["'[5:6]={1,2}'", '[1,2]'],
      ["'{{1,2},{3,4}}'", '[[1,2],[3,4]]'],
    ],
  ],
  ['integer[][]', of('variant'), [["'{{1,2},{3,4}}'", '[[1,2],[3,4]]']]],
  ['numeric(10,2)[]', arrayOf(decimal(10, 2)), [["'{1.5,2}'", '[1.50,2.00]']]],
  ['numeric[]', arrayOf(of('string')), [["'{1.50,NaN}'", '["1.50", "NaN"]']]],
  ['bytea[]', arrayOf(of('binary')), [["array['\\x00ff'::bytea, null]", '["AP8=", null]']]],
  [
    'timestamptz[]',
    arrayOf(of('timestamp')),
    [
      [
        "array['2026-01-01 00:00:00+00', 'infinity']::timestamptz[]",
        '["2026-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"]',
      ],
      ["'{}'", '[]'],
    ],
  ],
  ['jsonb[]', arrayOf(of('variant')), [[`array['{"a": 1}'::jsonb]`, '[{"a": 1}]']]],
  ['mood[]', arrayOf(of('string')), [["'{sad,glad}'", '["sad","glad"]']]],
  [
    'int4range',
    of('string'),
    [
      ["'[1,5]'", '[1,6)'],
      ["'empty'", 'empty'],
    ],
  ],
  ['tstzrange', of('string'), [["'[2026-01-01 00:00:00+00,)'", '["2026-01-01 00:00:00+00",)']]],
  ['floats', of('string'), [["'(1.5,2.5]'", '(1.5,2.5]']]],
  ['int4multirange', of('string'), [["'{[1,3),[7,9)}'", '{[1,3),[7,9)}']]],
  [
    'inet',
    of('string'),
    [
      ["'192.168.0.1/24'", '192.168.0.1/24'],
      ["'::1'", '::1'],
    ],
  ],
  ['cidr', of('string'), [["'10.0.0.0/8'", '10.0.0.0/8']]],
  ['macaddr', of('string'), [["'08:00:2b:01:02:03'", '08:00:2b:01:02:03']]],
  ['macaddr8', of('string'), [["'08:00:2b:01:02:03:04:05'", '08:00:2b:01:02:03:04:05']]],
  ['bit(4)', of('string'), [["B'1010'", '1010']]],
  ['bit varying', of('string'), [["B'10'", '10']]],
  ['xml', of('string'), [["'<a>1</a>'", '<a>1</a>']]],
  ['tsvector', of('string'), [["'a:1 b:2'", "'a':1 'b':2"]]],
  ['tsquery', of('string'), [["'a & b'", "'a' & 'b'"]]],
  ['jsonpath', of('string'), [["'$.a'", '$."a"']]],
  ['point', of('string'), [["'(1,2)'", '(1,2)']]],
  ['line', of('string'), [["'{1,2,3}'", '{1,2,3}']]],
  ['lseg', of('string'), [["'[(0,0),(1,1)]'", '[(0,0),(1,1)]']]],
  ['box', of('string'), [["'(1,1),(0,0)'", '(1,1),(0,0)']]],
  ['path', of('string'), [["'((0,0),(1,1))'", '((0,0),(1,1))']]],
  ['polygon', of('string'), [["'((0,0),(1,1),(1,0))'", '((0,0),(1,1),(1,0))']]],
  ['circle', of('string'), [["'<(0,0),1>'", '<(0,0),1>']]],
  [
    'hstore',
    { kind: 'map', key: of('string'), value: of('string'), valueContainsNull: true },
    [[`'a=>1, b=>NULL'`, '{"a": "1", "b": null}']],
  ],
  ['oid', of('long'), [['4294967295', '4294967295']]],
  ['xid', of('long'), [["'4294967295'", '4294967295']]],
  ['xid8', decimal(20, 0), [["'18446744073709551615'", '18446744073709551615']]],
  ['pg_lsn', of('string'), [["'16/B374D848'", '16/B374D848']]],
  ['regclass', of('string'), [["'pg_class'", 'pg_class']]],
]

/** The first version that has a type or a value, where an older one is supported too. */
const since: Readonly<Record<string, number>> = { 'numeric(5,-2)': 15, 'numeric(3,5)': 15, int4multirange: 14 }
const version = await serverVersion()
const known = cases
  .filter(([type]) => version >= (since[type] ?? 0))
  .map(([type, logical, values]): (typeof cases)[number] => {
    const hasInfinity = type !== 'numeric' || version >= 14
    return [type, logical, values.filter(([sql]) => hasInfinity || sql !== "'Infinity'")]
  })

test.each(known)('%s', async (type, logical, values) => {
  await database.query(`create table one (id serial, value ${type})`)
  try {
    for (const [sql] of values) await database.query(`insert into one (value) values (${sql})`)
    await database.query('insert into one (value) values (null)')
    const stream = (await source.open('public.one', 'snapshot', { columns: ['value'], key: [] })) as SnapshotStream

    const { rows } = await collect(stream.read({ kind: 'all' }))

    expect(stream.schema.fields).toMatchObject([{ name: 'value', type: logical, nullable: true }])
    expect(rows).toEqual([...values.map(([, cell]) => [cell]), [null]])
  } finally {
    await database.query('drop table one')
  }
})

test('the log gives every value of every type as a read of the table does', async () => {
  const columns = known.map(([type], index) => `c${index} ${type}`)
  await database.query(`create table every (id int primary key, ${columns.join(', ')})`)
  const replica = new Replica((await source.open('public.every', 'cdc', { owner: 'types' })) as ChangeStream)
  await replica.load()
  const depth = Math.max(...known.map(([, , values]) => values.length))
  for (let row = 0; row <= depth; row++) {
    const list = known.map(([, , values]) => values[row]?.[0] ?? 'null')
    await database.query(`insert into every values (${[row, ...list].join(', ')})`)
  }
  await replica.follow()
  const stream = (await source.open('public.every', 'snapshot')) as SnapshotStream
  const { rows } = await collect(stream.read({ kind: 'all' }))

  const differences = rows.flatMap((cells) => {
    const logged = replica.rows.get(JSON.stringify([cells[0]]))!
    return known.flatMap(([type, { kind }], index) => {
      const [a, b] = [plain(cells[index + 1]!, kind), plain(logged[`c${index}`]!, kind)]
      return a === b ? [] : [{ type, read: a, logged: b }]
    })
  })

  expect(rows.length).toBe(depth + 1)
  expect(differences).toEqual([])
})

/** Cells that mean the same as one text: the log writes eras as signed years, floats and arrays as JavaScript does. */
function plain(cell: string | null, kind: string): string | null {
  if (cell === null) return null
  if (kind === 'float' || kind === 'double') return Object.is(Number(cell), -0) ? '-0' : String(Number(cell))
  if (kind === 'array' || kind === 'map') return JSON.stringify(JSON.parse(cell, simple)).replaceAll('+00:00', '+00')
  if (kind === 'timestamp') return cell.replace(/^0044-(.*) BC$/, '-0043-$1').replace(/\+00$/, '')
  return kind === 'date' ? cell.replace(/^0044-(.*) BC$/, '-0043-$1') : cell
}

function simple(_: string, value: unknown): unknown {
  if (typeof value === 'string')
    return /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value.replace(/^(\d+-\d+-\d+)T/, '$1 ')
  const bytes = value as { type?: string; data?: number[] } | null
  return bytes?.type === 'Buffer' ? Buffer.from(bytes.data!).toString('base64') : value
}

test('numeric without precision can be a decimal or a double', async () => {
  await database.query('create table free (value numeric)')
  const typeWith = async (unbounded: string) => {
    await using other = await connect(postgres, { ...database.config, unbounded_numeric: unbounded })
    return (await other.discover('public.free')).columns.fields[0]!.type
  }

  expect(await typeWith('decimal(38,9)')).toEqual(decimal(38, 9))
  expect(await typeWith('double')).toEqual(of('double'))
  expect(() => postgres.config.parse({ ...database.config, unbounded_numeric: 'decimal(40,2)' })).toThrow(
    /decimal\(38,s\)/,
  )
})

test('the page of the connector has a line for every type that is tested', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/connectors/postgres.md'), 'utf8')
  const named = ['mood', 'positive', 'price', 'tags', 'spot', 'floats']

  const missing = cases
    .map(([type]) => type.replace(/\(.*?\)/, '').replaceAll('[]', ''))
    .filter((type) => !named.includes(type) && !page.includes(`\`${type}`))

  expect(missing).toEqual([])
})
