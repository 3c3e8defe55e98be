import { expect, test } from '@jest/globals'
import { deltaSchemaText, parseDeltaSchema } from '../../../shared/schema/delta-schema.ts'
import type { Schema } from '../../../shared/schema/types.ts'

const nested =
  '{"type":"struct","fields":[{"name":"id","type":"long","nullable":false,"metadata":{"comment":"the key"}},' +
  '{"name":"tags","type":{"type":"array","elementType":{"type":"map","keyType":"string","valueType":"decimal(10,2)","valueContainsNull":false},"containsNull":true},"nullable":true,"metadata":{}},' +
  '{"name":"address","type":{"type":"struct","fields":[{"name":"city","type":"string","nullable":true,"metadata":{"delta.columnMapping.id":3,"delta.columnMapping.physicalName":"col-1"}}]},"nullable":true,"metadata":{"delta.columnMapping.id":2,"delta.columnMapping.physicalName":"col-2","delta.typeChanges":[{"fromType":"integer","toType":"long"}]}}]}'

test('a schema of any writer comes back as it was, metadata included', () => {
  expect(JSON.parse(deltaSchemaText(parseDeltaSchema(nested)))).toEqual(JSON.parse(nested))
})

test('column mapping is read into id and physical name', () => {
  expect(parseDeltaSchema(nested).fields[2]).toMatchObject({ name: 'address', id: 2, physicalName: 'col-2' })
})

test('a JSON column is a string to other engines and still ours when read back', () => {
  const schema: Schema = { fields: [{ name: 'body', type: { kind: 'variant' }, nullable: true }] }

  const text = deltaSchemaText(schema)

  expect(JSON.parse(text).fields[0].type).toBe('string')
  expect(parseDeltaSchema(text).fields[0]!.type).toEqual({ kind: 'variant' })
})

test('a field id without column mapping does not look like column mapping', () => {
  const text = deltaSchemaText({ fields: [{ name: 'id', type: { kind: 'long' }, nullable: true, id: 7 }] })

  expect(text).not.toContain('delta.columnMapping')
  expect(parseDeltaSchema(text).fields[0]!.id).toBe(7)
})

test.each([
  ['not json', 'table.corrupt'],
  ['"long"', 'table.corrupt'],
  ['{"type":"struct"}', 'table.corrupt'],
  ['{"type":"struct","fields":[{"type":"long"}]}', 'table.corrupt'],
  ['{"type":"struct","fields":[{"name":"a","type":"interval day"}]}', 'table.unsupported_feature'],
  ['{"type":"struct","fields":[{"name":"a","type":{"type":"udt"}}]}', 'table.unsupported_feature'],
])('%s is refused as %s', (text, code) => {
  expect(() => parseDeltaSchema(text)).toThrow(expect.objectContaining({ code }))
})
