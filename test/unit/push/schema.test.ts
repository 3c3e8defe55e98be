import { describe, expect, test } from '@jest/globals'
import type { DeclaredTable } from '../../../shared/push/tables.ts'
import { memoryQueue } from '../../../shared/queue/memory.ts'
import { inferSchema } from '../../../shared/schema/infer.ts'
import { typeText } from '../../../shared/schema/type-text.ts'
import { memoryState } from '../../../shared/state/memory.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { column } from '../../support/delta.ts'
import { batchOf, clicks, handClock, pushProcess, rowsOf } from '../../support/push.ts'

function world() {
  const clock = handClock()
  return { storage: memoryStorage(), state: memoryState({ clock }), queue: memoryQueue({ clock }), clock }
}

const rows = (offset: number, ...records: object[]) => ({
  ...batchOf('a', offset, offset + records.length),
  body: Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join('')),
})

describe.each([{ through: false }, { through: true }])('%j', ({ through }) => {
  test('a record that does not fit is left out and named; its offset is passed', async () => {
    const ports = world()
    const server = pushProcess(ports, 1, { through })

    const receipt = await server.receive(rows(0, { id: 'x' }, { id: 7 }, { id: 'y', n: 'z' }, { id: 'w', extra: 1 }))
    await server.flushAndCommit()

    expect(receipt.rejectedRanges).toEqual([[1, 4]])
    expect(receipt.rejected.map(({ offset, code }) => [offset, code])).toEqual([
      [1, 'wrong_type'],
      [2, 'wrong_type'],
      [3, 'unknown_field'],
    ])
    expect(await rowsOf(ports.storage)).toMatchObject([{ id: 'x' }])
  })

  test('a batch of which every other record does not fit takes one pass, and names no endless column', async () => {
    const ports = world()
    const server = pushProcess(ports, 1, { through })
    const count = 200_000
    const body = Buffer.from('{"id":"x"}\n{"id":7}\n'.repeat(count / 2))

    const receipt = await server.receive({ ...batchOf('a', 0, count), body })
    const named = await server.receive(rows(count, { id: 'x', ['y'.repeat(100_000)]: 1 }))

    expect(receipt.rejectedRanges).toHaveLength(count / 2)
    expect(named.rejected.map(({ code, column }) => [code, column.length])).toEqual([['unknown_field', 256]])
  })

  test('with policy batch one bad record refuses the batch, and later batches are still committed', async () => {
    const ports = world()
    const server = pushProcess(ports, 1, {
      declared: [{ ...clicks, policy: { onReject: 'batch', schemaEvolution: 'none' } }],
      through,
    })

    const receipt = await server.receive(rows(0, { id: 'x' }, { id: 7 }))
    await server.receive(rows(2, { id: 'y' }))
    await server.flushAndCommit()

    expect(receipt.rejectedRanges).toEqual([[0, 2]])
    expect(await rowsOf(ports.storage)).toMatchObject([{ id: 'y' }])
  })

  test('with policy rescue unknown fields are kept aside', async () => {
    const ports = world()
    const server = pushProcess(ports, 1, {
      declared: [{ ...clicks, policy: { onReject: 'rescue', schemaEvolution: 'none' } }],
      through,
    })

    const receipt = await server.receive(rows(0, { id: 'x', extra: { deep: 1 } }))
    await server.flushAndCommit()

    expect(receipt.rejectedRanges).toEqual([])
    const [row] = await rowsOf(ports.storage)
    expect(JSON.parse(String(row!._rescued_data))).toEqual({ extra: { deep: 1 } })
  })

  test('a table that allows it gets new columns, and batches checked before and after it are both written', async () => {
    const ports = world()
    const server = pushProcess(ports, 1, {
      declared: [{ ...clicks, policy: { onReject: 'record', schemaEvolution: 'add_columns' } }],
      through,
    })

    const first = await server.receive(rows(0, { id: 'x' }))
    const second = await server.receive(rows(1, { id: 'y', city: 'Bonn', at: { lat: 50.7 } }))
    const result = await server.flushAndCommit()

    expect([first.schemaVersion, second.schemaVersion]).toEqual([1, 2])
    expect(second.rejectedRanges).toEqual([])
    expect(result.committed).toHaveLength(2)
    expect(await rowsOf(ports.storage)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ id: 'x' }),
        expect.objectContaining({ id: 'y', city: 'Bonn', at: { lat: 50.7 } }),
      ]),
    )
  })

  // A name of its own: what checks a table's records is remembered by its name and version.
  const nested: DeclaredTable = {
    name: 'main.events.nested',
    policy: { onReject: 'record', schemaEvolution: 'add_columns' },
    schema: {
      fields: [
        column('id', 'string', false),
        { name: 'at', nullable: true, type: { kind: 'struct', fields: [column('lat', 'double')] } },
        {
          name: 'items',
          nullable: true,
          type: { kind: 'array', containsNull: true, element: { kind: 'struct', fields: [column('sku', 'string')] } },
        },
        {
          name: 'by',
          nullable: true,
          type: {
            kind: 'map',
            key: { kind: 'string' },
            value: { kind: 'struct', fields: [column('n', 'long')] },
            valueContainsNull: true,
          },
        },
      ],
    },
  }

  test('a field that is new inside a struct, a list of structs or the values of a map becomes a field there', async () => {
    const ports = world()
    const server = pushProcess(ports, 1, { declared: [nested], through })
    const record = {
      id: 'y',
      at: { lat: 1.5, city: { name: 'Ulm' } },
      items: [{ sku: 'a' }, { sku: 'b', price: 2 }],
      by: { x: { n: 1 }, y: { n: 2, note: 'z' } },
    }

    const before = await server.receive(
      rows(0, { id: 'x', at: { lat: 0.5 }, items: [{ sku: 'c' }], by: {} }),
      nested.name,
    )
    const after = await server.receive(rows(1, record), nested.name)
    await server.flushAndCommit(nested.name)

    expect([before.schemaVersion, after.schemaVersion, after.rejectedRanges]).toEqual([1, 2, []])
    const table = (await server.tables.open(nested.name))!
    expect(table.newest.schema.fields.map(({ type }) => typeText(type))).toEqual([
      'string',
      'struct<lat:double,city:struct<name:string>>',
      'array<struct<sku:string,price:long>>',
      'map<string,struct<n:long,note:string>>',
    ])
    const [, row] = (await rowsOf(ports.storage, nested.name)).sort((a, b) => (String(a.id) < String(b.id) ? -1 : 1))
    expect(row).toMatchObject({
      at: { lat: 1.5, city: { name: 'Ulm' } },
      items: [
        { sku: 'a', price: null },
        { sku: 'b', price: 2n },
      ],
    })
  })

  test('names a column cannot have, and records that are nested too deep give no columns', async () => {
    const ports = world()
    const server = pushProcess(ports, 1, { declared: [nested], through })
    const deep = `${'['.repeat(50)}1${']'.repeat(50)}`
    const lines = [
      '{"id":"a","at":{"lat":1,"a b":1}}',
      '{"id":"b","x,y":1}',
      `{"id":"c","deep":${deep}}`,
      '{"id":7}',
      '{"id":"d","at":{"lat":1,"City":1,"city":2}}',
    ]

    const receipt = await server.receive(
      { ...batchOf('a', 0, lines.length), body: Buffer.from(lines.join('\n')) },
      nested.name,
    )

    // City and city are one column to a table, so the last record fits none.
    expect(receipt.rejectedRanges).toEqual([[0, 5]])
    const table = (await server.tables.open(nested.name))!
    expect(typeText(table.newest.schema.fields[1]!.type)).toBe('struct<lat:double,City:long>')
    expect(table.newest.schema.fields.map(({ name }) => name)).toEqual(['id', 'at', 'items', 'by'])
  })

  test('a table takes no more fields than it may have: the record stays out', async () => {
    const ports = world()
    const server = pushProcess(ports, 1, { declared: [nested], through })
    const wide = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`f${i}`, i]))

    const receipt = await server.receive(rows(0, { id: 'x', ...wide }, { id: 'y' }), nested.name)

    expect(receipt).toMatchObject({ schemaVersion: 1, rejectedRanges: [[0, 1]] })
  })

  test('with rescue and new columns a field becomes a column where it can, and is rescued where it cannot', async () => {
    const ports = world()
    const policy = { onReject: 'rescue', schemaEvolution: 'add_columns' } as const
    const server = pushProcess(ports, 1, { declared: [{ ...nested, policy }], through })

    const receipt = await server.receive(rows(0, { id: 'x', city: 'Ulm' }, { id: 'y', 'no name': 1 }), nested.name)
    await server.receive(rows(2, { id: 7 }), nested.name)
    await server.flushAndCommit(nested.name)

    expect(receipt).toMatchObject({ schemaVersion: 2, rejectedRanges: [] })
    const [x, y, ...more] = await rowsOf(ports.storage, nested.name)
    expect(x).toMatchObject({ id: 'x', city: 'Ulm', _rescued_data: null })
    expect(JSON.parse(String(y!._rescued_data))).toEqual({ 'no name': 1 })
    expect(more).toEqual([])
  })

  test('a table that is there without the column for rescued fields gets it', async () => {
    const ports = world()
    await pushProcess(ports, 1, { through }).tables.open(clicks.name)
    const policy = { onReject: 'rescue', schemaEvolution: 'none' } as const
    const server = pushProcess(ports, 2, { declared: [{ ...clicks, policy }], through })

    await server.receive(rows(0, { id: 'x', extra: 1 }))
    await server.flushAndCommit()

    const [row] = await rowsOf(ports.storage)
    expect(JSON.parse(String(row!._rescued_data))).toEqual({ extra: 1 })
  })

  test('a record without a column that is required, or null in it, is left out with its name', async () => {
    const ports = world()
    const server = pushProcess(ports, 1, { through })

    const receipt = await server.receive(rows(0, { n: 1 }, { id: null, n: 2 }, { id: 'x' }))

    expect(receipt.rejectedRanges).toEqual([[0, 2]])
    expect(receipt.rejected.map(({ column, code }) => [column, code])).toEqual([
      ['id', 'missing'],
      ['id', 'missing'],
    ])
  })

  test('a record refused by the schema its producer was told stays refused when the schema grows before the flush', async () => {
    const ports = world()
    const server = pushProcess(ports, 1, {
      declared: [{ ...clicks, policy: { onReject: 'record', schemaEvolution: 'add_columns' } }],
      through,
    })

    const refused = await server.receive({ ...rows(0, { id: 'x', city: 'Bonn' }), schemaVersion: 1 })
    await server.receive(rows(1, { id: 'y', city: 'Ulm' }))
    await server.flushAndCommit()

    expect(refused.rejectedRanges).toEqual([[0, 1]])
    expect((await rowsOf(ports.storage)).map((row) => row.id)).toEqual(['y'])
  })

  test.each([
    ['wrong count', { ...batchOf('a', 0, 2), count: 3 }, 'push.count_mismatch'],
    [
      'two records on a line',
      { ...batchOf('a', 0, 2), body: Buffer.from('{"id":"x"} {"id":"y"}') },
      'push.count_mismatch',
    ],
    ['unknown schema version', { ...batchOf('a', 0, 2), schemaVersion: 9 }, 'push.schema_version_unknown'],
    ['damaged compression', { ...batchOf('a', 0, 2), encoding: 'zstd' as const }, 'push.frame_invalid'],
  ])('a batch that is refused leaves nothing in the queue: %s', async (_, batch, code) => {
    const ports = world()

    await expect(pushProcess(ports, 1, { through }).receive(batch)).rejects.toMatchObject({ code })
    expect(await ports.queue.depth()).toEqual({ records: 0, bytes: 0 })
  })

  test('an array that a rejected record leaves open does not swallow the next batch', async () => {
    const ports = world()
    const server = pushProcess(ports, 1, { through })

    const receipt = await server.receive({ ...batchOf('a', 0, 2), body: Buffer.from('{"id":"x"}\n[') })
    await server.receive(rows(2, { id: 'y' }, { id: 'z' }))
    await server.flushAndCommit()

    expect(receipt.rejectedRanges).toEqual([[1, 2]])
    expect((await rowsOf(ports.storage)).map((row) => row.id)).toEqual(['x', 'y', 'z'])
  })

  test('a batch that is refused does not harm the file that others are in', async () => {
    const ports = world()
    const server = pushProcess(ports, 1, { through })

    await server.receive(batchOf('a', 0, 2))
    await expect(server.receive({ ...batchOf('b', 0, 2), encoding: 'gzip' as const })).rejects.toThrow('damaged')
    await expect(server.receive({ ...batchOf('b', 0, 2), count: 7 })).rejects.toThrow('wanted 7')
    await server.receive(batchOf('b', 0, 2))
    await server.flushAndCommit()

    expect((await rowsOf(ports.storage)).map((row) => row.id)).toEqual(['a:0', 'a:1', 'b:0', 'b:1'])
  })
})

test('columns are inferred with the narrowest type that holds every value', () => {
  const { fields } = inferSchema([
    { a: 1, b: 1, c: true, d: null, e: [1, 2.5], f: { x: 1 }, g: 'x', h: [] },
    { a: 2, b: 1.5, c: false, d: null, e: [], f: { y: 's' }, g: 1 },
  ])

  expect(Object.fromEntries(fields.map(({ name, type }) => [name, typeText(type)]))).toEqual({
    a: 'long',
    b: 'double',
    c: 'boolean',
    d: 'string',
    e: 'array<double>',
    f: 'struct<x:long,y:string>',
    g: 'variant',
    h: 'variant',
  })
})
