import { expect, test } from '@jest/globals'
import { commit } from '../../../shared/delta/commit.ts'
import {
  addColumns,
  addFields,
  allowNull,
  dropColumn,
  type Evolution,
  renameColumn,
  setProperties,
} from '../../../shared/delta/evolve.ts'
import { readSnapshot } from '../../../shared/delta/snapshot.ts'
import type { TableSnapshot } from '../../../shared/delta/table.ts'
import { typeText } from '../../../shared/schema/type-text.ts'
import type { Field, StructType } from '../../../shared/schema/types.ts'
import { column, emptyTable, shopSchema, testPorts } from '../../support/delta.ts'

const ports = testPorts()

async function evolved(table: TableSnapshot, { schema: _, ...change }: Evolution): Promise<TableSnapshot> {
  await commit(table, { operation: 'CHANGE', ...change, reads: 'nothing' }, ports)
  return (await readSnapshot(ports.storage, table.root))!
}

test('columns are added at the end, nullable, with ids never used before', async () => {
  const table = await emptyTable(ports, { root: 'add' })

  const after = await evolved(table, addColumns(table, [column('ID'), column('price', 'double', false)], ports.random)!)

  expect(after.schema.fields.map(({ name, id, nullable }) => [name, id, nullable])).toEqual([
    ['id', 1, false],
    ['name', 2, true],
    ['price', 3, true],
  ])
  expect(after.protocol).toEqual({ minReaderVersion: 1, minWriterVersion: 2 })
  expect(addColumns(after, [column('Price')], ports.random)).toBeUndefined()
})

test('a column can be made nullable', async () => {
  const table = await emptyTable(ports, { root: 'nullable' })

  const after = await evolved(table, allowNull(table, ['ID'])!)

  expect(after.schema.fields[0]).toMatchObject({ name: 'id', nullable: true })
  expect(allowNull(after, ['id'])).toBeUndefined()
})

test('rename and drop turn column mapping on and leave data files as they are', async () => {
  const table = await emptyTable(ports, { root: 'rename', schema: { fields: [...shopSchema.fields, column('old')] } })

  let after = await evolved(table, renameColumn(table, 'NAME', 'title'))
  after = await evolved(after, dropColumn(after, 'old'))

  expect(after.schema.fields.map(({ name, physicalName, id }) => [name, physicalName, id])).toEqual([
    ['id', 'id', 1],
    ['title', 'name', 2],
  ])
  expect(after.protocol).toEqual({
    minReaderVersion: 2,
    minWriterVersion: 7,
    writerFeatures: ['appendOnly', 'columnMapping', 'invariants'],
  })
  expect(after.metadata.configuration['delta.columnMapping.maxColumnId']).toBe('3')
  expect(after.metadata.id).toBe(table.metadata.id)
})

test('a column of a dropped name does not bring old data back', async () => {
  const table = await emptyTable(ports, { root: 'again', columnMapping: true })

  let after = await evolved(table, dropColumn(table, 'name'))
  after = await evolved(after, addColumns(after, [column('name', 'string')], ports.random)!)

  const { physicalName, id } = after.schema.fields[1]!
  expect([physicalName === 'name', id]).toEqual([false, 3])
})

test('what cannot be changed is said', async () => {
  const table = await emptyTable(ports, { root: 'refused', partitionColumns: ['name'] })

  expect(() => dropColumn(table, 'other')).toThrow('has no column other; it has id, name')
  expect(() => dropColumn(table, 'name')).toThrow('partitioned by name')
  expect(() => renameColumn(table, 'name', 'ID')).toThrow('differ only in case')
})

test.each([
  [
    'delta.enableChangeDataFeed',
    { minReaderVersion: 1, writerFeatures: ['appendOnly', 'changeDataFeed', 'invariants'] },
  ],
  ['delta.enableDeletionVectors', { minReaderVersion: 3, readerFeatures: ['deletionVectors'] }],
  ['delta.enableInCommitTimestamps', { minReaderVersion: 1 }],
])('the property %s raises the protocol no more than it must', async (property, wanted) => {
  const table = await emptyTable(ports, { root: property })

  const after = await evolved(table, setProperties(table, { [property]: 'true' }))

  expect(after.protocol).toMatchObject({ minWriterVersion: 7, ...wanted })
  expect(setProperties(after, { [property]: null }).metadata.configuration).toEqual({})
})

test('a column of timestamps without zone asks for its feature', async () => {
  const table = await emptyTable(ports, { root: 'ntz', schema: { fields: [column('at', 'timestamp_ntz')] } })

  expect(table.protocol).toMatchObject({ minReaderVersion: 3, readerFeatures: ['timestampNtz'] })
})

test('column mapping can be a property, at creation or later, but not be taken back', async () => {
  const mode = 'delta.columnMapping.mode'
  const table = await emptyTable(ports, { root: 'mapped', properties: { [mode]: 'id' } })
  const plain = await emptyTable(ports, { root: 'mapped later' })

  const after = await evolved(plain, setProperties(plain, { [mode]: 'name' }))

  for (const each of [table, after]) {
    expect(each.schema.fields.map(({ physicalName, id }) => [physicalName, id])).toEqual([
      ['id', 1],
      ['name', 2],
    ])
    expect(each.protocol.minReaderVersion).toBe(2)
    expect(each.metadata.configuration['delta.columnMapping.maxColumnId']).toBe('2')
  }
  expect(() => setProperties(after, { [mode]: null })).toThrow('from name to none')
  expect(() => setProperties(plain, { [mode]: 'id' })).toThrow('from none to id')
})

test('a property that asks for more than is kept is refused', async () => {
  const table = await emptyTable(ports, { root: 'row ids' })

  expect(() => setProperties(table, { 'delta.enableRowTracking': 'true' })).toThrow('delta.enableRowTracking')
  await expect(emptyTable(ports, { properties: { 'delta.enableIcebergCompatV2': 'true' } })).rejects.toThrow(
    'delta.enableIcebergCompatV2 is not supported',
  )
})

test('a struct that is there gets the fields it lacks, mapped ones under names of their own, and keeps its types', async () => {
  const place = (...names: string[]): Field => ({
    name: 'place',
    nullable: true,
    type: { kind: 'struct', fields: names.map((name) => column(name, 'string')) },
  })
  const plain = await emptyTable(ports, { root: 'grow' })
  const mapped = await evolved(plain, setProperties(plain, { 'delta.columnMapping.mode': 'name' }))
  const before = await evolved(mapped, addFields(mapped, [place('city')], ports.random)!)

  const after = await evolved(before, addFields(before, [place('CITY', 'zip'), column('id', 'double')], ports.random)!)

  const [old, now] = [before, after].map((table) => table.schema.fields.at(-1)!.type)
  expect(typeText(now!)).toBe('struct<city:string,zip:string>')
  const [city, zip] = (now as StructType).fields
  expect(city).toEqual((old as StructType).fields[0])
  expect(zip).toMatchObject({ nullable: true, physicalName: expect.stringMatching(/^col-/) })
  expect(zip!.id).toBeGreaterThan(Math.max(...before.schema.fields.map(({ id }) => id!), city!.id!))
  expect(after.schema.fields[0]).toEqual(before.schema.fields[0])
  expect(addFields(after, [place('zip')], ports.random)).toBeUndefined()
})
