/** The logical types of a column: the ones of Delta, plus `variant` held as JSON text (docs/adding-a-connector.md, "Values"). */
export type LogicalType =
  | { kind: PrimitiveKind }
  | { kind: 'decimal'; precision: number; scale: number }
  | StructType
  | ArrayType
  | MapType

/** The types without parameters. The columnar kernel numbers them in this order (columnar/kernel/state.ts). */
export const primitiveKinds = [
  'boolean',
  'byte',
  'short',
  'integer',
  'long',
  'float',
  'double',
  'string',
  'binary',
  'date',
  /** An instant, microseconds UTC. */
  'timestamp',
  /** A wall-clock time without zone, microseconds. Needs the table feature `timestampNtz`. */
  'timestamp_ntz',
  /** Any JSON value, kept as its text. A string column to other engines. */
  'variant',
  /** Only null. Found in tables of others; never inside data files, and never made here. */
  'void',
] as const

export type PrimitiveKind = (typeof primitiveKinds)[number]

export interface StructType {
  kind: 'struct'
  fields: readonly Field[]
}

export interface ArrayType {
  kind: 'array'
  element: LogicalType
  containsNull: boolean
}

export interface MapType {
  kind: 'map'
  key: LogicalType
  value: LogicalType
  valueContainsNull: boolean
}

export interface Field {
  name: string
  type: LogicalType
  nullable: boolean
  /** Parquet field id; with column mapping also `delta.columnMapping.id`. */
  id?: number
  /** The name inside data files, where column mapping makes it differ from `name`. */
  physicalName?: string
  /** Delta's own per-field metadata, kept as found. */
  metadata?: Readonly<Record<string, unknown>>
}

/** A table's or batch's columns, in order. Names are unique ignoring case. */
export interface Schema {
  fields: readonly Field[]
}
