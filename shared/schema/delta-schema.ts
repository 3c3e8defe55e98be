import { IngestError } from '../core/errors.ts'
import { primitiveType, typeText } from './type-text.ts'
import type { Field, LogicalType, Schema } from './types.ts'

/** Delta's keys in a field's metadata. */
export const FIELD_ID = 'delta.columnMapping.id'
export const PHYSICAL_NAME = 'delta.columnMapping.physicalName'
/**
 * Where a field id is kept without column mapping: a key of ours, because Spark switches column mapping on only in a table
 * that has none of the keys it knows, `parquet.field.id` among them.
 */
const OWN_FIELD_ID = 'lakeflow.fieldId'
/** Marks a string column that holds JSON text of ours. */
const VARIANT = 'lakeflow.variant'

/**
 * The text of `metaData.schemaString` as a schema (Delta protocol, "Schema Serialization Format"). Field metadata is
 * kept as found, so that `deltaSchemaText` gives it back.
 * @throws IngestError `table.corrupt` (fix), or `table.unsupported_feature` (fix) naming a type not known here
 */
export function parseDeltaSchema(text: string): Schema {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new IngestError('table.corrupt', 'the schema in the table metadata is not JSON', { cause })
  }
  const type = parseType(json, 'the schema')
  if (type.kind !== 'struct') throw corrupt('the schema', 'a struct', json)
  return { fields: type.fields }
}

/** A schema as the text of `metaData.schemaString`. */
export function deltaSchemaText(schema: Schema): string {
  return JSON.stringify(typeJson({ kind: 'struct', fields: schema.fields }))
}

function parseType(json: unknown, where: string): LogicalType {
  if (typeof json === 'string') {
    const type = primitiveType(json)
    if (type) return type
    throw new IngestError('table.unsupported_feature', `${where} has the type "${json}", which is not supported`)
  }
  if (!isObject(json)) throw corrupt(where, 'a type', json)
  switch (json.type) {
    case 'struct':
      if (!Array.isArray(json.fields)) throw corrupt(where, 'a list of fields', json.fields)
      return { kind: 'struct', fields: json.fields.map((field) => parseField(field, where)) }
    case 'array':
      return {
        kind: 'array',
        element: parseType(json.elementType, where),
        containsNull: json.containsNull !== false,
      }
    case 'map':
      return {
        kind: 'map',
        key: parseType(json.keyType, where),
        value: parseType(json.valueType, where),
        valueContainsNull: json.valueContainsNull !== false,
      }
    default:
      throw new IngestError('table.unsupported_feature', `${where} has the type "${json.type}", which is not supported`)
  }
}

function parseField(json: unknown, where: string): Field {
  if (!isObject(json) || typeof json.name !== 'string') throw corrupt(where, 'a field with a name', json)
  const metadata = isObject(json.metadata) ? json.metadata : {}
  const type = parseType(json.type, `column ${json.name}`)
  const id = metadata[FIELD_ID] ?? metadata[OWN_FIELD_ID]
  const physicalName = metadata[PHYSICAL_NAME]
  return {
    name: json.name,
    type: type.kind === 'string' && metadata[VARIANT] === true ? { kind: 'variant' } : type,
    nullable: json.nullable !== false,
    ...(typeof id === 'number' ? { id } : {}),
    ...(typeof physicalName === 'string' ? { physicalName } : {}),
    ...(Object.keys(metadata).length > 0 ? { metadata } : {}),
  }
}

function typeJson(type: LogicalType): unknown {
  switch (type.kind) {
    case 'struct':
      return { type: 'struct', fields: type.fields.map(fieldJson) }
    case 'array':
      return { type: 'array', elementType: typeJson(type.element), containsNull: type.containsNull }
    case 'map':
      return {
        type: 'map',
        keyType: typeJson(type.key),
        valueType: typeJson(type.value),
        valueContainsNull: type.valueContainsNull,
      }
    case 'variant':
      return 'string'
    default:
      return typeText(type)
  }
}

function fieldJson(field: Field) {
  const metadata: Record<string, unknown> = { ...field.metadata }
  if (field.physicalName !== undefined) {
    metadata[PHYSICAL_NAME] = field.physicalName
    if (field.id !== undefined) metadata[FIELD_ID] = field.id
  } else if (field.id !== undefined) {
    metadata[OWN_FIELD_ID] = field.id
  }
  if (field.type.kind === 'variant') metadata[VARIANT] = true
  return { name: field.name, type: typeJson(field.type), nullable: field.nullable, metadata }
}

const isObject = (json: unknown): json is Record<string, unknown> =>
  typeof json === 'object' && json !== null && !Array.isArray(json)

const corrupt = (where: string, wanted: string, got: unknown) =>
  new IngestError('table.corrupt', `${where} in the table metadata should be ${wanted}, got ${JSON.stringify(got)}`)
