import { expect, test } from '@jest/globals'
import { parquetReadObjects } from 'hyparquet'
import type { BatchOptions } from '../../../shared/columnar/batch-writer.ts'
import { createBatchWriter } from '../../../shared/columnar/parquet-writer.ts'
import { createValidator } from '../../../shared/columnar/validate.ts'
import type { Schema } from '../../../shared/schema/types.ts'

const schema: Schema = {
  fields: [
    { name: 'id', type: { kind: 'long' }, nullable: false },
    { name: 'name', type: { kind: 'string' }, nullable: true },
    { name: 'tags', type: { kind: 'array', element: { kind: 'string' }, containsNull: true }, nullable: true },
  ],
}

function write(chunks: readonly string[], options: BatchOptions = {}) {
  const writer = createBatchWriter(schema, options)
  for (const chunk of chunks) writer.append(Buffer.from(chunk))
  const file = writer.finish()
  const bytes = Buffer.concat(writer.take())
  return { file, rejected: writer.takeRejected(), bytes }
}

const read = (bytes: Uint8Array) => parquetReadObjects({ file: new Uint8Array(bytes).buffer })

test('records of NDJSON and of JSON arrays become rows, wherever chunks end', async () => {
  const text = '{"id":1,"name":"a","tags":["x",null]}\n[{"id":2},\n{"tags":[],"id":3,"name":"\\u00e9"}]\r\n\n{"id":4}'

  for (let cut = 0; cut <= text.length; cut++) {
    const { bytes, rejected } = write([text.slice(0, cut), text.slice(cut)])

    expect(rejected).toEqual([])
    expect(await read(bytes)).toEqual([
      { id: 1n, name: 'a', tags: ['x', null] },
      { id: 2n, name: null, tags: undefined },
      { id: 3n, name: 'é', tags: [] },
      { id: 4n, name: null, tags: undefined },
    ])
  }
})

test('a record that does not fit is told and left out, and the others go on', async () => {
  const { bytes, file, rejected } = write(['{"id":1}\n{"id":"x"}\n{"name":"n"}\n{"id":2,}\n{"id":3}\n'])

  expect(rejected).toEqual([
    { record: 1, start: 9, end: 19, column: 'id', code: 'wrong_type', got: 'string', wanted: 'long' },
    { record: 2, start: 20, end: 32, column: 'id', code: 'missing', got: 'nothing', wanted: 'long' },
    {
      record: 3,
      start: 33,
      end: 42,
      column: '',
      code: 'malformed',
      got: 'unexpected byte',
      wanted: 'well-formed record',
    },
  ])
  expect(file).toMatchObject({ rows: 2, rejected: 3, sizeBytes: bytes.length })
  expect((await read(bytes)).map((row) => row.id)).toEqual([1n, 3n])
})

test('with reject "all", a call with one bad record leaves nothing behind', async () => {
  const { bytes, rejected } = write(['{"id":1}\n{"id":2}', '{"id":3}\n{"id":false}\n', '{"id":4}'], { reject: 'all' })

  expect(rejected).toMatchObject([{ record: 3, start: 26, end: 38, code: 'wrong_type' }])
  expect((await read(bytes)).map((row) => row.id)).toEqual([1n, 2n, 4n])
})

test('a validator finds what the writer would reject', () => {
  const validate = createValidator(schema)

  const first = validate(Buffer.from('{"id":1}\n{"id":1.5}\n{"id":3}'))
  const second = validate(Buffer.from('[{"id":1},{"id":2}]'))

  expect(first).toMatchObject({ accepted: 2, rejected: [{ record: 1, column: 'id', got: 'number with a fraction' }] })
  expect(second).toEqual({ accepted: 2, rejected: [] })
})

test('rows of JavaScript values pass the same checks', async () => {
  const writer = createBatchWriter(schema)
  writer.appendRows([{ id: 2n ** 62n, name: 'a\n"b', tags: ['x'] }, { id: Symbol('no') }, { id: 5, name: undefined }])
  writer.finish()

  expect(writer.takeRejected()).toMatchObject([{ record: 1, column: 'id', code: 'wrong_type' }])
  expect(await read(Buffer.concat(writer.take()))).toEqual([
    { id: 2n ** 62n, name: 'a\n"b', tags: ['x'] },
    { id: 5n, name: null, tags: undefined },
  ])
})
