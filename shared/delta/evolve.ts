import { IngestError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import { deltaSchemaText } from '../schema/delta-schema.ts'
import { checkNames, findField, foldName } from '../schema/names.ts'
import type { Field, LogicalType, Schema } from '../schema/types.ts'
import type { Metadata, Protocol } from './actions.ts'
import { logicalSchema, MAPPING_MODE, mapFields, mappingMode } from './column-mapping.ts'
import { maxId, neededProtocol, withIds } from './new-table.ts'
import type { TableSnapshot } from './table.ts'

/** The parts of a `TableChange` that alter a table's columns or properties; `protocol` only where it must rise. */
export interface Evolution {
  metadata: Metadata
  protocol?: Protocol
  /** The columns after it. */
  schema: Schema
}

/**
 * The table with columns added at the end, each nullable: older files read as null there. A column whose name is there
 * already, ignoring case, is passed over. Undefined when nothing is left to add.
 */
export function addColumns(table: TableSnapshot, columns: readonly Field[], random: Random): Evolution | undefined {
  const fresh = columns.filter(({ name }) => !findField(table.schema.fields, name))
  if (fresh.length === 0) return undefined
  const prepare = freshField(table, random)
  return evolution(table, [...table.schema.fields, ...fresh.map(prepare)])
}

/**
 * Like `addColumns`; and a struct that is there, also in a list or as the values of a map, gets the fields it lacks. Types
 * that are there stay, whatever is wanted. Undefined when nothing is left to add.
 */
export function addFields(table: TableSnapshot, wanted: readonly Field[], random: Random): Evolution | undefined {
  const fields = grownFields(table.schema.fields, wanted, freshField(table, random))
  return fields === table.schema.fields ? undefined : evolution(table, fields)
}

/** The same array when there is nothing to add. */
function grownFields(
  there: readonly Field[],
  wanted: readonly Field[],
  prepare: (field: Field) => Field,
): readonly Field[] {
  const grown = there.map((field) => {
    const more = findField(wanted, field.name)
    const type = more ? grownType(field.type, more.type, prepare) : field.type
    return type === field.type ? field : { ...field, type }
  })
  const fresh = wanted.filter(({ name }) => !findField(there, name)).map(prepare)
  return fresh.length === 0 && grown.every((field, i) => field === there[i]) ? there : [...grown, ...fresh]
}

function grownType(there: LogicalType, wanted: LogicalType, prepare: (field: Field) => Field): LogicalType {
  if (there.kind === 'struct' && wanted.kind === 'struct') {
    const fields = grownFields(there.fields, wanted.fields, prepare)
    return fields === there.fields ? there : { ...there, fields }
  }
  if (there.kind === 'array' && wanted.kind === 'array') {
    const element = grownType(there.element, wanted.element, prepare)
    return element === there.element ? there : { ...there, element }
  }
  if (there.kind === 'map' && wanted.kind === 'struct') {
    // An object of records looks like a struct: each of its fields is one value of the map.
    const value = wanted.fields.reduce((type, field) => grownType(type, field.type, prepare), there.value)
    return value === there.value ? there : { ...there, value }
  }
  return there
}

/** A column that is new to the table: nullable, and with column mapping under a name of its own. */
function freshField(table: TableSnapshot, random: Random): (field: Field) => Field {
  const mode = mappingMode(table.metadata)
  // With column mapping a dropped column's data is still in old files under its physical name, so none is used twice.
  const prepare = ({ physicalName: _, id: __, ...field }: Field): Field => ({
    ...field,
    ...(mode === 'none' ? {} : { physicalName: `col-${random.uuid()}` }),
    type: mapFields(field.type, prepare),
  })
  return (field) => ({ ...prepare(field), nullable: true })
}

/** The table with these top-level columns nullable. Undefined when they all are. */
export function allowNull(table: TableSnapshot, columns: readonly string[]): Evolution | undefined {
  const names = new Set(columns.map(foldName))
  const strict = (field: Field) => !field.nullable && names.has(foldName(field.name))
  if (!table.schema.fields.some(strict)) return undefined
  return evolution(
    table,
    table.schema.fields.map((field) => (strict(field) ? { ...field, nullable: true } : field)),
  )
}

/**
 * The table with one top-level column under another name; data files stay. Turns column mapping by name on where it is
 * off, which needs readers of version 2.
 * @throws IngestError `config.invalid` (fix) when there is no such column, or one of the new name
 */
export function renameColumn(table: TableSnapshot, from: string, to: string): Evolution {
  const column = topColumn(table, from)
  const fields = mapped(table).map((field) => (field.name === column.name ? { ...field, name: to } : field))
  const partitionColumns = table.metadata.partitionColumns.map((name) => (name === column.name ? to : name))
  return evolution(table, fields, { partitionColumns })
}

/**
 * The table without one top-level column; its data stays in the files, unseen. Turns column mapping by name on where it
 * is off, which needs readers of version 2.
 * @throws IngestError `config.invalid` (fix) when there is no such column, or the table is partitioned by it
 */
export function dropColumn(table: TableSnapshot, name: string): Evolution {
  const column = topColumn(table, name)
  if (table.metadata.partitionColumns.includes(column.name)) {
    throw new IngestError(
      'config.invalid',
      `the table is partitioned by ${column.name}, so the column cannot be dropped`,
    )
  }
  return evolution(
    table,
    mapped(table).filter((field) => field.name !== column.name),
  )
}

/**
 * The table with properties set, or unset where null; raises the protocol as they need. Column mapping can be turned on
 * by name, and not off or to ids.
 * @throws IngestError `config.invalid` (fix)
 */
export function setProperties(table: TableSnapshot, properties: Readonly<Record<string, string | null>>): Evolution {
  const configuration = Object.fromEntries(
    Object.entries({ ...table.metadata.configuration, ...properties }).filter(([, value]) => value !== null),
  ) as Record<string, string>
  const metadata = { ...table.metadata, configuration }
  const [before, after] = [mappingMode(table.metadata), mappingMode(metadata)]
  if (before === after) return withProtocol(table, metadata, table.schema)
  if (before === 'none' && after === 'name')
    return evolution({ ...table, metadata }, withIds(table.schema, true).fields)
  throw new IngestError(
    'config.invalid',
    `the column mapping of the table ${table.root} cannot be changed from ${before} to ${after}; leave ${MAPPING_MODE} out`,
  )
}

/** The table with other columns altogether: for a swap of all files in the same commit. Field ids are never used again. */
export function replaceColumns(table: TableSnapshot, schema: Schema, random: Random): Evolution {
  const mode = mappingMode(table.metadata)
  const prepare = ({ id: _, physicalName: __, ...field }: Field): Field => ({
    ...field,
    ...(mode === 'none' ? {} : { physicalName: `col-${random.uuid()}` }),
    type: mapFields(field.type, prepare),
  })
  return evolution(table, schema.fields.map(prepare))
}

/**
 * The table with these top-level columns: `was` names one that is there, which keeps its data under a new name, type or
 * metadata; one without it is new and null in older files. Columns that are not named are dropped from sight. A rename
 * turns column mapping by name on where it is off. Files are not looked at: whoever changes a type writes them again.
 */
export function reshapeColumns(
  table: TableSnapshot,
  columns: readonly { was?: string; field: Field }[],
  random: Random,
): Evolution {
  const renamed = columns.some(({ was, field }) => was !== undefined && was !== field.name)
  const isMapped = renamed || mappingMode(table.metadata) !== 'none'
  const old = new Map((isMapped ? mapped(table) : table.schema.fields).map((field) => [field.name, field]))
  const nested = (field: Field): Field => {
    if (field.id !== undefined) return { ...field, type: mapFields(field.type, nested) }
    const { physicalName: _, ...rest } = field
    return { ...rest, ...(isMapped && { physicalName: `col-${random.uuid()}` }), type: mapFields(field.type, nested) }
  }
  const fields = columns.map(({ was, field }) => {
    const { id: _, physicalName: __, ...wanted } = field
    const there = was === undefined ? undefined : old.get(was)
    if (!there) return nested({ ...wanted, nullable: true })
    const { id, physicalName: name } = there
    const numbered = { ...wanted, ...(id !== undefined && { id }), ...(name !== undefined && { physicalName: name }) }
    return { ...numbered, type: mapFields(wanted.type, nested) }
  })
  const names = new Map(columns.map(({ was, field }) => [was, field.name]))
  return evolution(table, fields, {
    partitionColumns: table.metadata.partitionColumns.map((name) => names.get(name) ?? name),
  })
}

function topColumn(table: TableSnapshot, name: string): Field {
  const column = findField(table.schema.fields, name)
  if (column) return column
  throw new IngestError(
    'config.invalid',
    `the table ${table.root} has no column ${name}; it has ${table.schema.fields.map((field) => field.name).join(', ')}`,
  )
}

/** The fields with a physical name each. */
function mapped(table: TableSnapshot): readonly Field[] {
  return mappingMode(table.metadata) === 'none' ? withIds(table.schema, true).fields : table.schema.fields
}

function evolution(table: TableSnapshot, fields: readonly Field[], change: Partial<Metadata> = {}): Evolution {
  checkNames({ fields })
  const isMapped = fields.some((field) => field.physicalName !== undefined)
  const before = Math.max(
    maxId(table.schema),
    Number(table.metadata.configuration['delta.columnMapping.maxColumnId'] ?? 0),
  )
  const schema = withIds({ fields }, isMapped, before)
  const mode = mappingMode(table.metadata)
  const metadata: Metadata = {
    ...table.metadata,
    ...change,
    schemaString: deltaSchemaText(schema),
    configuration: isMapped
      ? {
          ...table.metadata.configuration,
          [MAPPING_MODE]: mode === 'none' ? 'name' : mode,
          'delta.columnMapping.maxColumnId': String(Math.max(before, maxId(schema))),
        }
      : table.metadata.configuration,
  }
  return withProtocol(table, metadata, schema)
}

function withProtocol(table: TableSnapshot, metadata: Metadata, schema: Schema): Evolution {
  const protocol = neededProtocol(table.protocol, metadata, schema)
  return {
    metadata,
    ...(protocol === table.protocol ? {} : { protocol }),
    schema: logicalSchema(metadata, table.root),
  }
}
