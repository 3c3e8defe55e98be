import { zstdCompressSync } from 'node:zlib'
import { expect, test } from '@jest/globals'
import { textDecoder } from '../../../shared/connectors/mysql/charsets.ts'
import { listOf } from '../../../shared/connectors/mysql/column-type.ts'
import { effectOf } from '../../../shared/connectors/mysql/ddl.ts'
import { decimalReader } from '../../../shared/connectors/mysql/decimal.ts'
import { jsonText } from '../../../shared/connectors/mysql/jsonb.ts'
import { payloadEvents } from '../../../shared/connectors/mysql/log-events.ts'
import {
  contains,
  encodeSets,
  holder,
  isBefore,
  type LogPlace,
  MovingPlace,
} from '../../../shared/connectors/mysql/log-place.ts'

const bytes = (hex: string) => Buffer.from(hex.replace(/\s/g, ''), 'hex')

/** Binary JSON, small form, from parts: written by the description in MySQL's json_binary.h, not by our reader. */
const literal = (n: number) => [0x04, n, 0]
const int16 = (n: number) => [0x05, n & 0xff, (n >> 8) & 0xff]

test.each<[string, number[], string]>([
  ['an empty object', [0x00, 0, 0, 4, 0], '{}'],
  ['an empty array', [0x02, 0, 0, 4, 0], '[]'],
  ['a literal', [0x04, 1], 'true'],
  ['an int16', [0x05, 0xff, 0xff], '-1'],
  ['a uint16', [0x06, 0xff, 0xff], '65535'],
  ['an int32', [0x07, 0, 0, 0, 0x80], '-2147483648'],
  ['a uint32', [0x08, 0xff, 0xff, 0xff, 0xff], '4294967295'],
  ['an int64', [0x09, 0, 0, 0, 0, 0, 0, 0, 0x80], '-9223372036854775808'],
  ['a uint64', [0x0a, ...Array(8).fill(0xff)], '18446744073709551615'],
  ['a double', [0x0b, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f], '1.5'],
  ['a whole double', [0x0b, 0, 0, 0, 0, 0, 0, 0x08, 0x40], '3.0'],
  ['a string', [0x0c, 3, ...Buffer.from('a"b')], '"a\\"b"'],
  ['an array of inlined values', [0x02, 3, 0, 13, 0, ...literal(0), ...int16(-2), ...literal(2)], '[null, -2, false]'],
  [
    'an object with an inlined value and a string',
    // count, size; keys at 18 and 19; int16 7; string at 21.
    [0x00, 2, 0, 23, 0, 18, 0, 1, 0, 19, 0, 2, 0, 0x05, 7, 0, 0x0c, 21, 0, ...Buffer.from('abb'), 1, 0x78],
    '{"a": 7, "bb": "x"}',
  ],
  ['a large array inlines 32 bits', [0x03, 1, 0, 0, 0, 13, 0, 0, 0, 0x07, 1, 0, 0, 0x80], '[-2147483647]'],
  ['a decimal', [0x0f, 246, 9, 14, 4, 0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2], '1234567890.1234'],
  ['bytes', [0x0f, 252, 2, 1, 2], '"base64:type252:AQI="'],
])('binary JSON: %s', (_, given, wanted) => {
  expect(jsonText(Buffer.from(given))).toBe(wanted)
})

test('binary JSON: dates and times as the server writes them', () => {
  const opaque = (type: number, packed: bigint) => {
    const value = Buffer.alloc(8)
    value.writeBigInt64LE(packed)
    return Buffer.concat([Buffer.from([0x0f, type, 8]), value])
  }
  const day = ((2015n * 13n + 1n) << 5n) | 15n
  const time = (23n << 12n) | (24n << 6n) | 25n

  expect(jsonText(opaque(10, day << 41n))).toBe('"2015-01-15"')
  expect(jsonText(opaque(12, (((day << 17n) | time) << 24n) | 120000n))).toBe('"2015-01-15 23:24:25.120000"')
  expect(jsonText(opaque(11, -(time << 24n)))).toBe('"-23:24:25.000000"')
})

test.each([
  [14, 4, '810DFB38D204D2', '1234567890.1234'],
  [14, 4, '7EF204C72DFB2D', '-1234567890.1234'],
  [2, 2, '8C', '0.12'],
  [10, 0, '8000000000', '0'],
])('decimal(%d,%d) %s is %s', (precision, scale, hex, text) => {
  expect(decimalReader(precision, scale).text(bytes(hex), 0)).toBe(text)
})

const uuid = '3e11fa47-71ca-11e1-9e33-c80aa9429562'

test('a set of transactions grows by what is passed, in any order', () => {
  const place = new MovingPlace({ kind: 'sets', text: `${uuid}:1-5:11` })
  const pass = (number: bigint, server = uuid) =>
    place.pass({ kind: 'sets', server, number }, { file: 'b.1', offset: 4 })
  pass(6n)
  pass(8n)
  pass(7n)
  pass(10n)
  pass(3n)
  pass(9n)
  pass(1n, '00000000-0000-0000-0000-000000000001')

  expect(place.place.text).toBe(`00000000-0000-0000-0000-000000000001:1,${uuid}:1-11`)
})

test('a set is sent as the server takes it', () => {
  expect(encodeSets(`${uuid}:1-5:7`).toString('hex')).toBe(
    bytes(`0100000000000000 3e11fa4771ca11e19e33c80aa9429562 0200000000000000
      0100000000000000 0600000000000000 0700000000000000 0800000000000000`).toString('hex'),
  )
})

test('domains are kept apart, and files are ordered by number', () => {
  const place = new MovingPlace({ kind: 'domains', text: '1-7-3,0-7-9' })
  place.pass({ kind: 'domains', domain: 0, server: 8, number: 10n }, { file: 'b.1', offset: 4 })

  expect(place.place.text).toBe('0-8-10,1-7-3')
  expect(isBefore({ file: 'b.999999', offset: 9 }, { file: 'b.1000000', offset: 4 })).toBe(true)
  expect(isBefore({ file: 'b.000002', offset: 4 }, { file: 'b.000001', offset: 9 })).toBe(false)
  expect(isBefore({ file: 'b.000002', offset: 4 }, { file: 'b.000002', offset: 4 })).toBe(false)
})

test.each([0, 255])('the events of a compressed transaction come one by one (method %d)', async (method) => {
  const event = (type: number, length: number) => {
    const whole = Buffer.alloc(19 + length, 0x61)
    whole[4] = type
    whole.writeUInt32LE(whole.length, 9)
    return whole
  }
  const inner = Buffer.concat([event(2, 30), event(30, 700_000), event(16, 8)])
  const packed = method === 0 ? zstdCompressSync(inner) : inner
  const length = (n: number) => [253, n & 0xff, (n >> 8) & 0xff, (n >> 16) & 0xff]
  const compression = method === 0 ? [2, 1, 0] : [2, 3, 252, 255, 0]
  const body = Buffer.concat([Buffer.from([...compression, 1, 4, ...length(packed.length), 0]), packed])

  const found: [number, number][] = []
  for await (const events of payloadEvents(body)) for (const { type, body } of events) found.push([type, body.length])

  expect(found).toEqual([
    [2, 30],
    [30, 700_000],
    [16, 8],
  ])
})

test('members of an enum may hold quotes, commas and backslashes', () => {
  expect(listOf("enum('a','it''s','b,c','d\\\\e','')")).toEqual(['a', "it's", 'b,c', 'd\\e', ''])
})

test('texts of one byte a letter are read by their own table', () => {
  const text = Buffer.from([0x63, 0xe9, 0x80])
  expect(textDecoder('latin1', 'c')(text, 0, 3)).toBe('c\u00e9\u20ac')
  expect(() => textDecoder('armscii8', 'c')).toThrow(/armscii8/)
})

const column = (name: string, type: string) => ({ name, type, charset: null, json: false })
const shape = [column('id', 'int(11)'), column('v', 'int(11)')]
const captured = {
  schema: 'shop',
  name: 'orders',
  shape,
  today: new Map([...shape, column('new', 'bigint(20)')].map((each) => [each.name, each])),
  required: new Set(['id']),
  selected: new Set(['id', 'v', 'new']),
  foldsNames: false,
}

test.each<[string, string | string[]]>([
  ['alter table other drop column v', 'none'],
  ['alter table `shop`.`orders` drop column v', ['id']],
  ['/* drop table orders */ ALTER TABLE Orders drop v', 'none'],
  ['alter online table if exists orders drop column if exists v, add index i (id)', ['id']],
  ['alter table orders add column new bigint after id', ['id', 'new', 'v']],
  ['alter table orders add column (new bigint, unwanted text default (now()))', ['id', 'v', 'new', 'unwanted']],
  ['alter table orders add new bigint unsigned', 'rewritten'],
  ['alter table orders add new bigint default 0', 'rewritten'],
  ["alter table orders add constraint c check (v > 0), engine = innodb, comment = 'drop, v'", 'none'],
  ['alter table orders modify v int first', ['v', 'id']],
  ['alter table orders rename to shop.old', 'rewritten'],
  ['alter table orders rename index a to b', 'none'],
  ['alter table orders drop partition p', 'rewritten'],
  ['alter table orders exchange partition p with table q', 'rewritten'],
  ['alter table orders add system versioning', 'rewritten'],
  ['drop table if exists a, `b`.orders, `shop`.`orders` /* generated by server */', 'rewritten'],
  ['drop temporary table orders', 'none'],
  ['drop database shop', 'rewritten'],
  ['rename table orders_new to orders', 'rewritten'],
  ['rename table a to b, c to d', 'none'],
  ['create table if not exists orders (id int)', 'none'],
  ['create or replace table orders (id int)', 'rewritten'],
  ['create table orders like x', 'rewritten'],
  ['/*!40000 truncate table orders */', 'rewritten'],
  ['update orders set v = 1', 'rewritten'],
  ['insert into others values (1)', 'none'],
  ['grant select on orders to x', 'none'],
])('%s', (sql, wanted) => {
  const effect = effectOf(sql, 'shop', captured)

  expect(effect.kind === 'columns' ? effect.shape.map(({ name }) => name) : effect.kind).toEqual(wanted)
})

const a = '3e11fa47-71ca-11e1-9e33-c80aa9429562'
const b = '4e11fa47-71ca-11e1-9e33-c80aa9429562'

test.each<[LogPlace['kind'], string, string, boolean]>([
  ['file', 'binlog.000002:100', 'binlog.000002:100', true],
  ['file', 'binlog.000002:100', 'binlog.000002:101', false],
  ['file', 'binlog.1000000:4', 'binlog.999999:700', true],
  ['domains', '0-1-10,1-1-5', '0-2-9', true],
  ['domains', '0-1-10,1-1-5', '0-1-10,1-1-5', true],
  ['domains', '0-1-10', '0-1-10,1-1-5', false],
  ['domains', '0-1-10', '0-1-11', false],
  ['domains', '', '0-1-1', false],
  ['domains', '0-1-10', '', true],
  ['domains', '', '', true],
  ['sets', `${a}:1-10`, `${a}:3-10`, true],
  ['sets', `${a}:1-5:7-10`, `${a}:5-7`, false],
  ['sets', `${a}:1-5`, `${a}:1-5,${b}:1`, false],
  ['sets', `${a}:1-5,${b}:1-9`, `${b}:9`, true],
])('by %s, %j contains %j: %s', (kind, place, other, wanted) => {
  expect(contains({ kind, text: place }, { kind, text: other })).toBe(wanted)
})

test('a place holds a transaction that it has passed, and none without a name', () => {
  expect(holder({ kind: 'domains', text: '0-1-10' })('0-2-10')).toBe(true)
  expect(holder({ kind: 'domains', text: '0-1-10' })('0-2-11')).toBe(false)
  expect(holder({ kind: 'sets', text: `${a}:1-5` })(`${a}:5`)).toBe(true)
  expect(holder({ kind: 'sets', text: `${a}:1-5` })(`${a}:6`)).toBe(false)
  expect(holder({ kind: 'domains', text: '0-1-10' })('')).toBe(false)
})

test('places of two servers say nothing of each other', () => {
  const place = { kind: 'file', text: 'binlog.000002:100' } as const
  expect(contains({ ...place, server: 'one' }, { ...place, server: 'two' })).toBe(false)
})
