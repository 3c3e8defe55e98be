import { IngestError } from '../core/errors.ts'
import { FIELD_ID, parseDeltaSchema } from '../schema/delta-schema.ts'
import type { Field, LogicalType, Schema } from '../schema/types.ts'
import type { Metadata } from './actions.ts'

/** How columns are found in data files (Delta protocol, "Column Mapping"). */
export type MappingMode = 'none' | 'name' | 'id'

/** The table property that holds the mode. */
export const MAPPING_MODE = 'delta.columnMapping.mode'

/** @throws IngestError `table.unsupported_feature` (fix) for a mode not known */
export function mappingMode(metadata: Metadata): MappingMode {
  const mode = metadata.configuration[MAPPING_MODE] ?? 'none'
  if (mode === 'none' || mode === 'name' || mode === 'id') return mode
  throw new IngestError('table.unsupported_feature', `the column mapping mode "${mode}" is not supported`)
}

/**
 * A table's schema, checked to be of data files that are read here. Mapping marks left over in a table without column mapping mean nothing and are passed over. A table
 * whose metadata has no schema has no columns.
 */
export function logicalSchema(metadata: Metadata, table: string): Schema {
  const provider = metadata.format?.provider ?? 'parquet'
  if (provider !== 'parquet') {
    throw new IngestError(
      'table.unsupported_feature',
      `the data files of the table ${table} are ${provider}, and only Parquet is read; convert the table`,
    )
  }
  if (metadata.schemaString == null) return { fields: [] }
  const schema = parseDeltaSchema(metadata.schemaString)
  const stray = metadata.partitionColumns.find((column) => !schema.fields.some(({ name }) => name === column))
  if (stray !== undefined) {
    throw new IngestError(
      'table.corrupt',
      `the table ${table} is partitioned by ${stray}, and its schema has no column of that name; correct the metadata`,
    )
  }
  if (mappingMode(metadata) === 'none') return { fields: schema.fields.map(unmapped) }
  for (const field of schema.fields) checkMapped(field, table)
  return schema
}

/** The name of a field inside data files, statistics and partition values. */
export const physicalName = (field: Field): string => field.physicalName ?? field.name

function unmapped(field: Field): Field {
  const { physicalName: _, id, ...kept } = field
  const isParquetId = id !== undefined && field.metadata?.[FIELD_ID] !== id
  return { ...kept, ...(isParquetId ? { id } : {}), type: mapFields(field.type, unmapped) }
}

function checkMapped(field: Field, table: string): Field {
  if (field.physicalName === undefined || field.id === undefined) {
    throw new IngestError(
      'table.corrupt',
      `the table ${table} has column mapping, but its column ${field.name} has no id or physical name in the metadata`,
    )
  }
  return { ...field, type: mapFields(field.type, (inner) => checkMapped(inner, table)) }
}

/** A type with a function applied to every struct field directly inside it, through arrays and maps. */
export function mapFields(type: LogicalType, change: (field: Field) => Field): LogicalType {
  switch (type.kind) {
    case 'struct':
      return { ...type, fields: type.fields.map(change) }
    case 'array':
      return { ...type, element: mapFields(type.element, change) }
    case 'map':
      return { ...type, key: mapFields(type.key, change), value: mapFields(type.value, change) }
    default:
      return type
  }
}
