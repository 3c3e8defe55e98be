import type { Field, LogicalType, Schema } from '../../shared/schema/types.ts'

/** The data sets of the columnar bench: the same bytes on every machine, as all randomness comes from one seed. */
export interface DataSet {
  schema: Schema
  format: 'ndjson' | 'copy'
  /** The record with this number, without its line feed. */
  record(random: Random, i: number): string
}

/** Numbers in [0, 1) (mulberry32). */
export type Random = () => number

export function seeded(seed: number): Random {
  let a = seed
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const field = (name: string, type: LogicalType | LogicalType['kind'], nullable = true): Field => ({
  name,
  type: typeof type === 'string' ? ({ kind: type } as LogicalType) : type,
  nullable,
})
const decimal: LogicalType = { kind: 'decimal', precision: 15, scale: 2 }

const below = (random: Random, n: number) => Math.floor(random() * n)
const pick = <T>(random: Random, values: readonly T[]): T => values[below(random, values.length)]!
const two = (n: number) => String(n).padStart(2, '0')

const hex = (random: Random, digits: number) => {
  let text = ''
  while (text.length < digits) text += below(random, 65536).toString(16).padStart(4, '0')
  return text.slice(0, digits)
}

const uuid = (random: Random) =>
  `${hex(random, 8)}-${hex(random, 4)}-4${hex(random, 3)}-a${hex(random, 3)}-${hex(random, 12)}`

const actions = ['view', 'click', 'add_to_cart', 'remove_from_cart', 'checkout', 'purchase', 'refund', 'search']
const countries = ['DE', 'FR', 'US', 'GB', 'IT', 'ES', 'NL', 'PL', 'SE', 'CH', 'AT', 'JP', 'BR', 'IN', 'CA', 'AU']
const browsers = ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/126.0', 'Mozilla/5.0 (Macintosh) Safari/17.5']
const tags = ['new', 'promo', 'mobile', 'organic', 'email', 'vip', 'beta', 'summer-sale']

/** Events of about 400 bytes: uuid, enum, timestamp, double, long, boolean, struct, list, nullable. */
const events: DataSet = {
  format: 'ndjson',
  schema: {
    fields: [
      field('event_id', 'string', false),
      field('user_id', 'long', false),
      field('session', 'string'),
      field('action', 'string'),
      field('event_time', 'timestamp', false),
      field('price', 'double'),
      field('quantity', 'integer'),
      field('is_member', 'boolean'),
      field('referrer', 'string'),
      field('score', 'double'),
      field('device', {
        kind: 'struct',
        fields: [field('country', 'string'), field('agent', 'string'), field('width', 'integer')],
      }),
      field('tags', { kind: 'array', element: { kind: 'string' }, containsNull: true }),
    ],
  },
  record: (random, i) =>
    JSON.stringify({
      event_id: uuid(random),
      user_id: 1_000_000 + below(random, 500_000),
      session: hex(random, 24),
      action: pick(random, actions),
      event_time: new Date(1_750_000_000_000 + i * 7 + below(random, 1000)).toISOString(),
      price: below(random, 100_000) / 100,
      quantity: 1 + below(random, 9),
      is_member: random() < 0.3,
      referrer: random() < 0.4 ? null : `https://shop.example.com/c/${below(random, 5000)}`,
      score: random(),
      device: {
        country: pick(random, countries),
        agent: pick(random, browsers),
        width: pick(random, [390, 1280, 1920]),
      },
      tags: Array.from({ length: below(random, 4) }, () => pick(random, tags)),
    }),
}

const modes = ['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB']
const instructions = ['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN']
const words =
  'carefully final deposits sleep blithely among the regular packages quickly express ideas haggle furiously'.split(' ')

/** TPC-H lineitem (TPC-H 4.2.3), by its distributions. */
const lineitemFields = [
  field('l_orderkey', 'long', false),
  field('l_partkey', 'long', false),
  field('l_suppkey', 'long', false),
  field('l_linenumber', 'integer', false),
  field('l_quantity', decimal, false),
  field('l_extendedprice', decimal, false),
  field('l_discount', decimal, false),
  field('l_tax', decimal, false),
  field('l_returnflag', 'string', false),
  field('l_linestatus', 'string', false),
  field('l_shipdate', 'date', false),
  field('l_commitdate', 'date', false),
  field('l_receiptdate', 'date', false),
  field('l_shipinstruct', 'string', false),
  field('l_shipmode', 'string', false),
  field('l_comment', 'string', false),
]

function lineitemValues(random: Random, i: number): string[] {
  const part = 1 + below(random, 200_000)
  const quantity = 1 + below(random, 50)
  const day = (from: number) => new Date((from + below(random, 120)) * 86_400_000).toISOString().slice(0, 10)
  const shipped = 8035 + below(random, 2500)
  const comment = Array.from({ length: 2 + below(random, 5) }, () => pick(random, words)).join(' ')
  const price = (quantity * (90_000 + ((part / 10) % 20_001) + 100 * (part % 1000))) / 100
  return [
    String((i >> 2) * 4 + 1),
    String(part),
    String(1 + below(random, 10_000)),
    String((i & 3) + 1),
    `${quantity}.00`,
    price.toFixed(2),
    `0.${two(below(random, 11))}`,
    `0.${two(below(random, 9))}`,
    pick(random, ['R', 'A', 'N']),
    pick(random, ['O', 'F']),
    day(shipped),
    day(shipped),
    day(shipped + 10),
    pick(random, instructions),
    pick(random, modes),
    comment,
  ]
}

const lineitem: DataSet = {
  format: 'ndjson',
  schema: { fields: lineitemFields },
  record: (random, i) => {
    const values = lineitemValues(random, i)
    const texts = lineitemFields.map(({ name, type }, c) => {
      const quoted = type.kind === 'string' || type.kind === 'date'
      return `"${name}":${quoted ? `"${values[c]}"` : values[c]}`
    })
    return `{${texts.join(',')}}`
  },
}

const copy: DataSet = {
  format: 'copy',
  schema: { fields: lineitemFields },
  record: (random, i) => lineitemValues(random, i).join('\t'),
}

const wideFields = Array.from({ length: 200 }, (_, i) =>
  field(`attribute_${String(i).padStart(3, '0')}`, (['long', 'string', 'double', 'boolean'] as const)[i % 4]!),
)

/** 200 columns of which a record has about one in ten. */
const wide: DataSet = {
  format: 'ndjson',
  schema: { fields: wideFields },
  record: (random) => {
    const parts: string[] = []
    for (const [i, { name }] of wideFields.entries()) {
      if (random() >= 0.1) continue
      const value = [below(random, 1e6), `"value ${below(random, 1000)}"`, below(random, 1e6) / 1e3, random() < 0.5]
      parts.push(`"${name}":${value[i % 4]}`)
    }
    return `{${parts.join(',')}}`
  },
}

/** Two kilobytes of text a record, a tenth of it with escapes and other scripts. */
const strings: DataSet = {
  format: 'ndjson',
  schema: { fields: [field('id', 'long', false), field('title', 'string'), field('body', 'string')] },
  record: (random, i) => {
    const text = (n: number) => Array.from({ length: n }, () => pick(random, words)).join(' ')
    const body = random() < 0.1 ? `${text(120)}\n"${text(40)}"\t caf\u00e9 \u6771\u4eac ${text(120)}` : text(280)
    return JSON.stringify({ id: i, title: text(6), body })
  },
}

export const dataSets: Record<string, DataSet> = { events, lineitem, copy, wide, strings }

/** About `bytes` of the data set, cut after a whole record. */
export function generate(set: DataSet, bytes: number): Buffer {
  const random = seeded(42)
  const blocks: Buffer[] = []
  let size = 0
  let lines: string[] = []
  for (let i = 0; size < bytes; i++) {
    lines.push(set.record(random, i))
    if (lines.length < 1000) continue
    const block = Buffer.from(`${lines.join('\n')}\n`)
    blocks.push(block)
    size += block.length
    lines = []
  }
  return Buffer.concat(blocks)
}
