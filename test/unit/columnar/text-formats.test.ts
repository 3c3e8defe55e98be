import { expect, test } from '@jest/globals'
import { parquetReadObjects } from 'hyparquet'
import type { BatchOptions } from '../../../shared/columnar/batch-writer.ts'
import { createBatchWriter } from '../../../shared/columnar/parquet-writer.ts'
import type { Field, LogicalType } from '../../../shared/schema/types.ts'
import { readHyparquet, writeFile } from '../../support/columnar.ts'

const field = (name: string, type: LogicalType, nullable = true): Field => ({ name, type, nullable })
const list: LogicalType = { kind: 'array', element: { kind: 'string' }, containsNull: true }

const fields = [
  field('id', { kind: 'integer' }, false),
  field('flag', { kind: 'boolean' }),
  field('amount', { kind: 'decimal', precision: 10, scale: 2 }),
  field('text', { kind: 'string' }),
  field('bytes', { kind: 'binary' }),
  field('day', { kind: 'date' }),
  field('at', { kind: 'timestamp' }),
  field('any', { kind: 'variant' }),
  field('tags', list),
  field('inner', { kind: 'struct', fields: [field('x', { kind: 'long' }), field('y', { kind: 'string' })] }),
]

async function write(format: 'appendCopy' | 'appendCsv', text: string, cut: number, options: BatchOptions = {}) {
  const writer = createBatchWriter({ fields }, options)
  const bytes = Buffer.from(text)
  writer[format](bytes.subarray(0, cut))
  writer[format](bytes.subarray(cut))
  writer.finish()
  const file = new Uint8Array(Buffer.concat(writer.take())).buffer
  return { rows: await parquetReadObjects({ file, utf8: false }), rejected: writer.takeRejected() }
}

test('COPY text becomes rows, wherever chunks end', async () => {
  const text = [
    [
      '1',
      't',
      '12.30',
      'a\\tb\\\\c\\101',
      '\\\\x6869',
      '2024-02-29',
      '2024-02-29 12:00:00.5+05:30',
      '[1]',
      '{a,"b,\\\\"",NULL,"NULL"}',
      '{"x":1,"y":"\\\\u0041"}',
    ],
    ['2', 'f', '-1', '', '\\N', '0044-03-15 BC', '\\N', '\\N', '{}', '\\N'],
  ]
    .map((row) => `${row.join('\t')}\n`)
    .join('')

  for (let cut = 0; cut <= text.length; cut++) {
    const { rows, rejected } = await write('appendCopy', text, cut)

    expect(rejected).toEqual([])
    expect(rows).toEqual([
      {
        id: 1,
        flag: true,
        amount: 12.3,
        text: 'a\tb\\cA',
        bytes: Uint8Array.of(104, 105),
        day: new Date('2024-02-29'),
        at: new Date('2024-02-29T06:30:00.5Z'),
        any: '[1]',
        tags: ['a', 'b,"', null, 'NULL'],
        inner: { x: 1n, y: 'A' },
      },
      {
        id: 2,
        flag: false,
        amount: -1,
        text: '',
        bytes: null,
        day: new Date('-000043-03-15'),
        at: null,
        any: null,
        tags: [],
        inner: undefined,
      },
    ])
  }
})

test.each([
  ['appendCopy', 'null\tnull\t{null,"null",1}\n\\N\tnull\t\\N\n'],
  ['appendCsv', 'null,null,"{null,""null"",1}"\n,null,\n'],
] as const)('with %s, a variant that is JSON null is no missing value', async (format, text) => {
  const variant = { kind: 'variant' } as const
  const schema = {
    fields: [
      field('any', variant),
      field('required', variant, false),
      field('list', { kind: 'array', element: variant, containsNull: true }),
    ],
  }

  const { bytes, rejections } = writeFile(schema, [text], {}, format)

  expect(rejections).toEqual([])
  expect(await readHyparquet(schema, bytes)).toEqual([
    ['null', 'null', [null, 'null', '1']],
    [null, 'null', null],
  ])
})

test.each([
  ['1\t\\N\t\\N\t\\N\t\\N\tinfinity\t\\N\t\\N\t\\N\t\\N', 'day', 'out_of_range'],
  ['1\t\\N\t\\N\t\\N\t\\N\t\\N\t-infinity\t\\N\t\\N\t\\N', 'at', 'out_of_range'],
  ['1\t\\N\tNaN\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N', 'amount', 'out_of_range'],
  ['1\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t{{a}}\t\\N', 'tags[]', 'wrong_type'],
  ['1\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t{"a"\t\\N\t\\N', 'any', 'wrong_type'],
  ['1\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\tnul\t\\N\t\\N', 'any', 'wrong_type'],
  ['1\tmaybe\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N', 'flag', 'wrong_type'],
  ['\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N', 'id', 'missing'],
  ['1\t\\N', '', 'malformed'],
  ['1\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N', '', 'malformed'],
  ['1\t\\N\t\\N\t\\xff\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N', '', 'malformed'],
])('the COPY row %j is rejected', async (row, column, code) => {
  const good = `7${'\t\\N'.repeat(9)}\n`

  const { rows, rejected } = await write('appendCopy', `${good}${row}\n${good}`, 0)

  expect(rejected).toMatchObject([{ record: 1, column, code, start: good.length, end: good.length + row.length }])
  expect(rows.map(({ id }) => id)).toEqual([7, 7])
})

test('an escape that a chunk cuts at the end of a row is read when the rest of it comes', async () => {
  const text = '1\t\\N\n2\ta\\\\\n3\t\\t\n4\t\\101\n5\t\\x41\n6\t\\N\n'
  const schema = { fields: [field('id', { kind: 'integer' }), field('text', { kind: 'string' })] }
  const read = async (cut: number) => {
    const writer = createBatchWriter(schema)
    const bytes = Buffer.from(text)
    writer.appendCopy(bytes.subarray(0, cut))
    writer.appendCopy(bytes.subarray(cut))
    writer.finish()
    const file = new Uint8Array(Buffer.concat(writer.take())).buffer
    const rows = await parquetReadObjects({ file })
    return { texts: rows.map((row) => row.text), rejected: writer.takeRejected() }
  }

  for (let cut = 0; cut <= text.length; cut++)
    expect({ cut, ...(await read(cut)) }).toEqual({ cut, texts: [null, 'a\\', '\t', 'A', 'A', null], rejected: [] })
})

test('a backslash at the very end of the text is malformed', () => {
  const writer = createBatchWriter({ fields: [field('text', { kind: 'string' })] })
  writer.appendCopy(Buffer.from('a\nb\\'))

  expect(writer.finish().rows).toBe(1)
  expect(writer.takeRejected().map(({ code }) => code)).toEqual(['malformed'])
})

test('CSV with a header becomes rows, wherever chunks end', async () => {
  const text = '\ufefftext,id,other,flag\r\n"a ""q""\n,x",1,ignored,TRUE\r\n,2,"",\r\n\r\n"",+03,,f'

  for (let cut = 0; cut <= Buffer.byteLength(text); cut++) {
    const { rows, rejected } = await write('appendCsv', text, cut, { csv: { header: true } })

    expect(rejected).toEqual([])
    expect(rows).toMatchObject([
      { id: 1, text: 'a "q"\n,x', flag: true },
      { id: 2, text: null, flag: null },
      { id: 3, text: '', flag: false },
    ])
  }
})

test('a CSV dialect is followed, and its bad records are rejected', async () => {
  const csv = { header: true, delimiter: ';', quote: "'", escape: '\\', nullText: 'NULL' }

  const { rows, rejected } = await write('appendCsv', "id;text\n1;'it\\'s;'\n2;NULL\nx;y\n3\n4;'NULL'\n5;'open", 0, {
    csv,
  })

  expect(rows).toMatchObject([
    { id: 1, text: "it's;" },
    { id: 2, text: null },
    { id: 4, text: 'NULL' },
  ])
  expect(rejected).toMatchObject([
    { record: 2, column: 'id', code: 'wrong_type' },
    { record: 3, code: 'malformed', got: 'fewer columns' },
    { record: 5, code: 'malformed', got: 'end of input' },
  ])
})
