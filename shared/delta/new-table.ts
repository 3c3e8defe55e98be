import type { Clock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import { deltaSchemaText } from '../schema/delta-schema.ts'
import { checkNames, findField } from '../schema/names.ts'
import type { Field, LogicalType, Schema } from '../schema/types.ts'
import type { Metadata, Protocol } from './actions.ts'
import { logicalSchema, MAPPING_MODE, mapFields, mappingMode } from './column-mapping.ts'
import { withFeatures } from './features.ts'
import type { TableChange } from './table.ts'

export interface NewTableOptions {
  name?: string
  description?: string
  partitionColumns?: readonly string[]
  /** Delta table properties, `delta.enableChangeDataFeed` and the like; they raise the protocol as they need. */
  properties?: Readonly<Record<string, string>>
  /** Columns can be renamed and dropped later; needs readers of version 2. Default false: it can be added later. */
  columnMapping?: boolean
  operation?: string
}

/** Version 0 of a table: what `createTable` takes. Files and a `txn` may be added to it. */
export type NewTable = TableChange & { protocol: Protocol; metadata: Metadata; schema: Schema }

/**
 * A new table with these columns: protocol (1,2), so that every engine reads it, and only what the columns and
 * properties need on top. Every column gets a field id, also the nested ones.
 * @throws IngestError `config.invalid` (fix) for names that clash or partition columns that do not fit
 */
export function newTable(
  schema: Schema,
  { clock, random }: { clock: Clock; random: Random },
  options: NewTableOptions = {},
): NewTable {
  checkNames(schema)
  const partitionColumns = (options.partitionColumns ?? []).map((name) => partitionColumn(schema, name))
  const mode = options.properties?.[MAPPING_MODE] ?? 'none'
  const mapped = options.columnMapping || mode !== 'none'
  const numbered = withIds(schema, mapped)
  const metadata: Metadata = {
    id: random.uuid(),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.description === undefined ? {} : { description: options.description }),
    format: { provider: 'parquet', options: {} },
    schemaString: deltaSchemaText(numbered),
    partitionColumns,
    configuration: {
      ...options.properties,
      ...(mapped
        ? {
            [MAPPING_MODE]: mode === 'none' ? 'name' : mode,
            'delta.columnMapping.maxColumnId': String(maxId(numbered)),
          }
        : {}),
    },
    createdTime: clock.now(),
  }
  return {
    operation: options.operation ?? 'CREATE TABLE',
    operationParameters: {
      isManaged: 'false',
      description: options.description ?? null,
      partitionBy: partitionColumns,
      properties: metadata.configuration,
    },
    protocol: neededProtocol(undefined, metadata, numbered),
    metadata,
    schema: logicalSchema(metadata, options.name ?? ''),
    reads: 'nothing',
  }
}

/** Properties that ask more of a writer than is kept here. A table of others that has them is not written either. */
const refused: readonly string[] = [
  'delta.enableRowTracking',
  'delta.enableIcebergCompatV1',
  'delta.enableIcebergCompatV2',
  'delta.enableIcebergCompatV3',
  'delta.enableVariantShredding',
]

/**
 * The lowest protocol, not below `current`, that the metadata's columns and properties ask for.
 * @throws IngestError `config.invalid` (fix) for a property that cannot be kept
 */
export function neededProtocol(current: Protocol | undefined, metadata: Metadata, schema: Schema): Protocol {
  const on = (property: string) => metadata.configuration[property]?.toLowerCase() === 'true'
  const unkept = refused.find(on)
  if (unkept) {
    throw new IngestError('config.invalid', `the table property ${unkept} is not supported; leave it out`)
  }
  const features: string[] = []
  if (on('delta.enableDeletionVectors')) features.push('deletionVectors')
  if (on('delta.enableChangeDataFeed')) features.push('changeDataFeed')
  if (on('delta.enableInCommitTimestamps')) features.push('inCommitTimestamp')
  if (on('delta.enableTypeWidening')) features.push('typeWidening')
  if (mappingMode(metadata) !== 'none') features.push('columnMapping')
  if (schema.fields.some(({ type }) => holds(type, 'timestamp_ntz'))) features.push('timestampNtz')
  return withFeatures(current ?? { minReaderVersion: 1, minWriterVersion: 2 }, features)
}

/** The highest field id of a schema, nested ones included; 0 when there is none. */
export function maxId(schema: Schema): number {
  let highest = 0
  const visit = (field: Field): Field => {
    highest = Math.max(highest, field.id ?? 0)
    mapFields(field.type, visit)
    return field
  }
  schema.fields.forEach(visit)
  return highest
}

/**
 * The schema with an id for every field that has none, above `from`. With `mapped` each also gets its physical name:
 * its own name, so that readers that ignore column mapping still see sensible columns until a rename.
 */
export function withIds(schema: Schema, mapped: boolean, from = maxId(schema)): Schema {
  let last = from
  const number = (field: Field): Field => ({
    ...field,
    id: field.id ?? ++last,
    ...(mapped ? { physicalName: field.physicalName ?? field.name } : {}),
    type: mapFields(field.type, number),
  })
  return { fields: schema.fields.map(number) }
}

function partitionColumn(schema: Schema, name: string): string {
  const field = findField(schema.fields, name)
  if (field && !['struct', 'array', 'map', 'binary'].includes(field.type.kind)) return field.name
  throw new IngestError(
    'config.invalid',
    field
      ? `the column ${name} cannot partition a table, because it is a ${field.type.kind}; choose a plain column`
      : `there is no column ${name} to partition by; the columns are ${schema.fields.map((each) => each.name).join(', ')}`,
  )
}

function holds(type: LogicalType, kind: LogicalType['kind']): boolean {
  switch (type.kind) {
    case 'struct':
      return type.fields.some((field) => holds(field.type, kind))
    case 'array':
      return holds(type.element, kind)
    case 'map':
      return holds(type.key, kind) || holds(type.value, kind)
    default:
      return type.kind === kind
  }
}
