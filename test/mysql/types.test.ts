import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import type { ChangeStream, SnapshotStream } from '../../shared/connector/connector.ts'
import { mysql } from '../../shared/connectors/mysql/mysql.ts'
import { typeText } from '../../shared/schema/type-text.ts'
import { type Connected, connect } from '../support/connector-run.ts'
import { Replica } from '../support/replica.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { type Flavour, flavourOfRun, isOld } from './server.ts'

jest.setTimeout(120_000)

let database: TestDatabase
let source: Connected

beforeAll(async () => {
  database = await createDatabase()
  source = await connect(mysql, database.config)
})
afterAll(async () => {
  await source[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

/** Type of the source, logical type, then what is inserted and what is read; a bare value is both. */
type Case = [sqlType: string, logical: string, ...values: (string | [sql: string, read: string | null])[]]

const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
const bytes = (hex: string): [string, string] => [hex === '' ? "''" : `x'${hex}'`, `\\x${hex}`]

const cases: Case[] = [
  ['tinyint', 'byte', '-128', '127', '0'],
  ['tinyint unsigned', 'short', '0', '255'],
  ['tinyint(1)', 'byte', '0', '1', '-128'],
  ['smallint', 'short', '-32768', '32767'],
  ['smallint unsigned', 'integer', '65535'],
  ['mediumint', 'integer', '-8388608', '8388607', '-1'],
  ['mediumint unsigned', 'integer', '16777215'],
  ['int', 'integer', '-2147483648', '2147483647'],
  ['int unsigned', 'long', '4294967295'],
  ['int(8) unsigned zerofill', 'long', '42'],
  ['bigint', 'long', '-9223372036854775808', '9223372036854775807'],
  ['bigint unsigned', 'decimal(20,0)', '18446744073709551615', '0'],
  ['decimal(10,2)', 'decimal(10,2)', '-99999999.99', '99999999.99', '0.00', '-0.01', '7.50'],
  ['decimal(38,10)', 'decimal(38,10)', '9999999999999999999999999999.9999999999', '-1234567890123456789.0000000001'],
  ['decimal(18,18)', 'decimal(18,18)', '0.123456789012345678', '-0.000000000000000001'],
  ['decimal(65,30)', 'string', '12345678901234567890123456789012345.123456789012345678901234567890'],
  ['decimal(9,0) unsigned', 'decimal(9,0)', '999999999', '1'],
  ['float', 'float', ['0.1', '0.10000000149011612'], '16777216', '-0.5', ['3.4028234e38', '3.4028234663852886e+38']],
  ['float(7,3)', 'float', ['1.5', '1.5']],
  ['double', 'double', '0.1', '-2.5', ['1.7976931348623157e308', '1.7976931348623157e+308'], ['5e-324', '5e-324']],
  ['double(10,2)', 'double', '123.45'],
  ['bit(1)', 'boolean', ["b'1'", 'true'], ["b'0'", 'false']],
  ['bit(9)', 'long', ["b'100000001'", '257']],
  ['bit(64)', 'decimal(20,0)', ['0xffffffffffffffff', '18446744073709551615'], ["b'0'", '0']],
  ['year', 'short', '1901', '2155', ["'0000'", '0']],
  [
    'date',
    'date',
    ["'2024-02-29'", '2024-02-29'],
    ["'1000-01-01'", '1000-01-01'],
    ["'9999-12-31'", '9999-12-31'],
    ["'0000-00-00'", null],
    ["'2024-00-00'", null],
    ["'2024-05-00'", null],
  ],
  [
    'datetime',
    'timestamp',
    ["'2024-02-29 23:59:59'", '2024-02-29 23:59:59'],
    ["'9999-12-31 00:00:00'", '9999-12-31 00:00:00'],
    ["'0000-00-00 00:00:00'", null],
    ["'1000-01-01 00:00:01'", '1000-01-01 00:00:01'],
  ],
  ['datetime(1)', 'timestamp', ["'2024-02-29 23:59:59.9'", '2024-02-29 23:59:59.9']],
  ['datetime(3)', 'timestamp', ["'2024-02-29 23:59:59.007'", '2024-02-29 23:59:59.007']],
  ['datetime(6)', 'timestamp', ["'2024-02-29 23:59:59.000001'", '2024-02-29 23:59:59.000001']],
  [
    'timestamp null',
    'timestamp',
    ["'2038-01-19 03:14:07'", '2038-01-19 03:14:07'],
    ["'1970-01-01 00:00:01'", '1970-01-01 00:00:01'],
    ["'0000-00-00 00:00:00'", null],
  ],
  ['timestamp(4) null', 'timestamp', ["'2024-07-01 12:00:00.0120'", '2024-07-01 12:00:00.0120']],
  ['timestamp(6) null', 'timestamp', ["'2024-07-01 12:00:00.123456'", '2024-07-01 12:00:00.123456']],
  [
    'time',
    'string',
    ["'-838:59:59'", '-838:59:59'],
    ["'838:59:59'", '838:59:59'],
    ["'00:00:00'", '00:00:00'],
    ["'-00:00:01'", '-00:00:01'],
  ],
  [
    'time(2)',
    'string',
    ["'-00:00:01.50'", '-00:00:01.50'],
    ["'12:34:56.07'", '12:34:56.07'],
    ["'-00:00:00.01'", '-00:00:00.01'],
  ],
  ['time(4)', 'string', ["'-10:00:00.0001'", '-10:00:00.0001']],
  ['time(6)', 'string', ["'-838:59:58.999999'", '-838:59:58.999999'], ["'01:02:03.000004'", '01:02:03.000004']],
  ['char(5)', 'string', ["'ab'", 'ab'], ["''", '']],
  [
    'char(200) character set utf8mb4',
    'string',
    ["'\u00e9\u{1f600}'", '\u00e9\u{1f600}'],
    ["repeat('\u{1f600}', 200)", '\u{1f600}'.repeat(200)],
  ],
  ['varchar(20)', 'string', ["'a\\tb\\nc\\\\d'", 'a\tb\nc\\d'], ["'trailing  '", 'trailing  '], ["''", '']],
  [
    'varchar(300) character set latin1',
    'string',
    ["'caf\u00e9 \u20ac'", 'caf\u00e9 \u20ac'],
    ["repeat('\u00fc', 300)", '\u00fc'.repeat(300)],
  ],
  ['varchar(20) character set latin2', 'string', ["'\u0159\u017e'", '\u0159\u017e']],
  [
    'varchar(20) character set cp1251',
    'string',
    ["'\u043f\u0440\u0438\u0432\u0435\u0442'", '\u043f\u0440\u0438\u0432\u0435\u0442'],
  ],
  ['varchar(20) character set utf8mb3', 'string', ["'\u65e5\u672c'", '\u65e5\u672c']],
  ['varchar(20) character set ucs2', 'string', ["'\u65e5\u672c'", '\u65e5\u672c']],
  ['varchar(20) character set utf16', 'string', ["'\u65e5\u{1f600}'", '\u65e5\u{1f600}']],
  ['varchar(20) character set utf16le', 'string', ["'\u65e5\u{1f600}'", '\u65e5\u{1f600}']],
  ['varchar(20) character set utf32', 'string', ["'\u65e5\u{1f600}'", '\u65e5\u{1f600}']],
  ['varchar(20) character set sjis', 'string', ["'\u65e5\u672c'", '\u65e5\u672c']],
  ['varchar(20) character set ujis', 'string', ["'\u65e5\u672c'", '\u65e5\u672c']],
  ['varchar(20) character set gbk', 'string', ["'\u4e2d\u6587'", '\u4e2d\u6587']],
  ['varchar(20) character set big5', 'string', ["'\u4e2d\u6587'", '\u4e2d\u6587']],
  ['varchar(20) character set euckr', 'string', ["'\ud55c\uad6d'", '\ud55c\uad6d']],
  ['tinytext', 'string', ["'x'", 'x']],
  ['text', 'string', ["repeat('long ', 5000)", 'long '.repeat(5000)]],
  ['mediumtext', 'string', ["'m'", 'm']],
  ['longtext', 'string', ["''", '']],
  [
    "enum('a','it''s','b,c','\u00e9')",
    'string',
    ["'a'", 'a'],
    [quoted("it's"), "it's"],
    ["'b,c'", 'b,c'],
    ["'\u00e9'", '\u00e9'],
  ],
  ["set('x','y','z')", 'string', ["'z,x'", 'x,z'], ["''", '']],
  ['binary(4)', 'binary', bytes('00010000'), bytes('ffffffff'), ["x'41'", '\\x41000000']],
  ['varbinary(10)', 'binary', bytes(''), bytes('00ff5c0a09')],
  ['varbinary(300)', 'binary', bytes('ab'.repeat(300))],
  ['tinyblob', 'binary', bytes('01')],
  ['blob', 'binary', bytes('5c78')],
  ['mediumblob', 'binary', bytes('00')],
  ['longblob', 'binary', bytes('')],
  ['point', 'binary', ["ST_GeomFromText('POINT(1 2)')", '\\x0101000000000000000000f03f0000000000000040']],
]

/** MariaDB keeps JSON as the text it was given; MySQL as a binary form that its log carries. */
const casesOf: Record<Flavour, Case[]> = {
  mariadb: [
    [
      'json',
      'variant',
      ['\'{"b": [1, 2.50, null], "a": "\\\\u00e9"}\'', '{"b": [1, 2.50, null], "a": "\\u00e9"}'],
      ["'null'", 'null'],
    ],
    [
      'uuid',
      'string',
      ["'123e4567-e89b-12d3-a456-426655440000'", '123e4567-e89b-12d3-a456-426655440000'],
      ["'00112233-4455-4677-8899-aabbccddeeff'", '00112233-4455-4677-8899-aabbccddeeff'],
    ],
    ['inet4', 'string', ["'192.0.2.1'", '192.0.2.1'], ["'0.0.0.0'", '0.0.0.0']],
    [
      'inet6',
      'string',
      ["'2001:db8::ff00:42:8329'", '2001:db8::ff00:42:8329'],
      ["'::'", '::'],
      ["'::1'", '::1'],
      ["'::ffff:192.0.2.1'", '::ffff:192.0.2.1'],
      ["'1:0:0:2:0:0:0:3'", '1:0:0:2::3'],
    ],
  ],
  mysql: [
    [
      'json',
      'variant',
      ['\'{"b": [1, 2.50, null], "a": "\\\\u00e9"}\'', '{"a": "\u00e9", "b": [1, 2.5, null]}'],
      ["'null'", 'null'],
      ['\'"a\\\\\\"b\\\\n\\\\u0001"\'', '"a\\"b\\n\\u0001"'],
      [
        "'[0, -1, 127, 32768, -32769, 65536, 2147483648, -9223372036854775808, 18446744073709551615]'",
        '[0, -1, 127, 32768, -32769, 65536, 2147483648, -9223372036854775808, 18446744073709551615]',
      ],
      ["'[1e100, -0.5, true, false, {}, []]'", '[1e100, -0.5, true, false, {}, []]'],
      // Version 5.7 writes it as 1 in an answer.
      ...(isOld() ? [] : [["'[1.0]'", '[1.0]'] as [string, string]]),
      [
        "json_array(cast(1.50 as decimal(10,2)), cast('2024-02-29' as date), cast('12:00:01.5' as time(2)), cast('2024-02-29 01:02:03.000004' as datetime(6)))",
        '[1.50, "2024-02-29", "12:00:01.500000", "2024-02-29 01:02:03.000004"]',
      ],
      ["json_object('big', repeat('x', 70000), 'after', 7)", `{"big": "${'x'.repeat(70000)}", "after": 7}`],
    ],
    ['varchar(20) character set gb18030', 'string', ["'\u4e2d\u6587'", '\u4e2d\u6587']],
  ],
}

test.each([...cases, ...casesOf[flavourOfRun()]])(
  '%s is read as %s, by copy and from the log alike',
  async (sqlType, logical, ...values) => {
    const nullable = sqlType.endsWith(' null') ? sqlType : `${sqlType} null`
    await database.query(`drop table if exists typed; create table typed (id int primary key, v ${nullable})`)
    const name = `${database.name}.typed`
    const table = await source.discover(name)
    const changes = new Replica((await source.open(name, 'cdc')) as ChangeStream)
    await changes.load()
    const all = [...values, ['null', null] as [string, null]].map(
      (value) => (typeof value === 'string' ? [value, value] : value) as [string, string | null],
    )

    await database.query(
      `set sql_mode = ''; ${all.map(([sql], index) => `insert into typed values (${index}, ${sql})`).join('; ')}; set sql_mode = default`,
    )
    await changes.follow()
    const copied = new Replica((await source.open(name, 'snapshot')) as SnapshotStream)
    await copied.load()

    expect(typeText(table.columns.fields[1]!.type)).toBe(logical)
    const expected = all.map(([, read], index) => ({ id: String(index), v: canonical(read, logical) }))
    const inOrder = (replica: Replica) =>
      replica
        .sorted()
        .sort((a, b) => Number(a.id) - Number(b.id))
        .map(({ id, v }) => ({ id, v: plain(v!, logical) }))
    expect(inOrder(changes)).toEqual(expected)
    expect(inOrder(copied)).toEqual(expected)
  },
)

/** Decimals are compared by value: replicas keep them without zeros at the end. */
const canonical = (text: string | null, logical: string) =>
  logical.startsWith('decimal') && text?.includes('.') ? text.replace(/\.?0+$/, '') : text

/** Two texts of one value: `1` and `true`, `0.1` and `0.10`. */
function plain(text: string | null, logical: string): string | null {
  if (text === null) return null
  if (logical === 'boolean') return String(text === '1' || text === 't' || text === 'true')
  if (logical === 'float' || logical === 'double') return String(Number(text))
  return text
}
