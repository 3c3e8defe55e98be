import { IngestError } from '../core/errors.ts'
import { physicalName } from '../delta/column-mapping.ts'
import { typeText } from '../schema/type-text.ts'
import type { Field, LogicalType } from '../schema/types.ts'
import { findColumn, type ParquetNode } from './parquet-tree.ts'
import { literal, quoted, sqlType, unpushed } from './sql.ts'

/** How the columns of files become columns of a SELECT. */
export interface Naming {
  /** Columns of files are found by field id, not by name. */
  byId: boolean
  /** Columns and struct fields keep the names of data files, to be written again. */
  physical: boolean
  /** The data file that has the columns, for messages. */
  file?: string
}

const NO_TYPE = '"NULL"'

/** What a field is called in the SELECT, unquoted. */
export const outputName = (field: Field, naming: Naming): string => (naming.physical ? physicalName(field) : field.name)

/**
 * A column of a file as the table's type. A column that is as the table wants it stays one plain column, so that filters
 * reach the scan; otherwise structs are built anew, with null for fields that the file does not have.
 * @throws IngestError `table.corrupt` (fix) when it holds values of another kind
 */
export function columnSql(value: string, node: ParquetNode, type: LogicalType, naming: Naming, depth = 0): string {
  if (type.kind === 'binary' && node.type === 'BLOB') return unpushed(value)
  if (isSame(node, type, naming)) return `cast(${value} as ${typeSql(type, naming)})`
  const item = `x${depth}`
  if (type.kind === 'struct' && node.shape === 'struct') {
    const fields = type.fields.map((field) => {
      const inner = findColumn(node.children, field, naming.byId)
      const got = inner
        ? columnSql(`struct_extract(${value}, ${literal(inner.name)})`, inner, field.type, naming, depth)
        : nullSql(field.type, naming)
      return `${quoted(outputName(field, naming))} := ${got}`
    })
    // A null struct must stay null, not become a struct of nulls.
    return `case when ${value} is null then null else struct_pack(${fields.join(', ')}) end`
  }
  if (type.kind === 'array' && node.shape === 'list') {
    const element = elementSql(item, node.children[0]!, type.element, naming, depth + 1)
    return `list_transform(${value}, lambda ${item}: ${element})`
  }
  if (type.kind === 'map' && node.shape === 'map') {
    const [key, held] = node.children as [ParquetNode, ParquetNode]
    const entry = `struct_pack(k := ${columnSql(`${item}.key`, key, type.key, naming, depth + 1)}, v := ${columnSql(`${item}.value`, held, type.value, naming, depth + 1)})`
    return `case when ${value} is null then null else map_from_entries(list_transform(map_entries(${value}), lambda ${item}: ${entry})) end`
  }
  // A file may have a column of no type, for which all it held was null.
  if (type.kind === 'void' || node.type === NO_TYPE) return nullSql(type, naming)
  if (type.kind === 'variant' && node.shape === 'struct') return variantSql(value, node, naming)
  if (node.shape !== 'leaf' || !holds(node, type)) {
    throw new IngestError(
      'table.corrupt',
      `the data file ${naming.file} holds ${node.type || `a ${node.shape}`} in its column ${node.name}, where the table wants ${typeText(type)}; write the file again`,
    )
  }
  return `cast(${bytesOrText(value, node, type)} as ${typeSql(type, naming)})`
}

function elementSql(value: string, node: ParquetNode, type: LogicalType, naming: Naming, depth: number): string {
  const [only] = type.kind === 'struct' && type.fields.length === 1 ? type.fields : []
  if (!only || node.shape === 'struct') return columnSql(value, node, type, naming, depth)
  // The element that the engine took the struct for: see `parquetColumns`.
  return `struct_pack(${quoted(outputName(only, naming))} := ${columnSql(value, node, only.type, naming, depth)})`
}

/** A cast between bytes and text would take backslashes for escapes. */
function bytesOrText(value: string, node: ParquetNode, type: LogicalType): string {
  if (node.type === 'BLOB' && isText(type)) return `decode(${value})`
  return isBytesFromText(node, type) ? `encode(cast(${value} as VARCHAR))` : value
}

const isBytesFromText = (node: ParquetNode, type: LogicalType) =>
  type.kind === 'binary' && /^(VARCHAR|JSON)$/.test(node.type)

/**
 * A variant as JSON text (Parquet, "Variant Binary Encoding"). The engine reads a column that is marked as one, and the
 * bytes of one that is not. In a marked one it does not tell JSON's null from none.
 */
function variantSql(value: string, node: ParquetNode, naming: Naming): string {
  if (node.isVariant) return `case when ${value} is null then null else cast(cast(${value} as JSON) as VARCHAR) end`
  if (node.children.length > 2) {
    throw new IngestError(
      'table.unsupported_feature',
      `the data file ${naming.file} has parts of the variant ${node.name} in columns of their own and is not marked so; write it again without shredding`,
    )
  }
  const bytes = `struct_extract(${value}, 'metadata') || struct_extract(${value}, 'value')`
  return `case when ${value} is null then null else cast(cast(variant_bytes_to_variant(${bytes}) as JSON) as VARCHAR) end`
}

/** False when no value of the column can be one of the type: a number is no time, and text is no number. */
function holds({ type: stored }: ParquetNode, { kind }: LogicalType): boolean {
  if (stored === '' || kind === 'string' || kind === 'variant') return true
  if (/INT|^(DECIMAL|FLOAT|DOUBLE)/.test(stored) && !stored.startsWith('INTERVAL')) return numbers.has(kind)
  if (/^(DATE|TIMESTAMP)/.test(stored)) return times.has(kind)
  return stored === 'BOOLEAN' ? kind === 'boolean' : kind === 'binary'
}

const numbers: ReadonlySet<string> = new Set(['byte', 'short', 'integer', 'long', 'float', 'double', 'decimal'])
const times: ReadonlySet<string> = new Set(['date', 'timestamp', 'timestamp_ntz'])

export const nullSql = (type: LogicalType, naming: Naming): string => `cast(null as ${typeSql(type, naming)})`

function typeSql(type: LogicalType, naming: Naming): string {
  switch (type.kind) {
    case 'struct':
      return `STRUCT(${type.fields.map((field) => `${quoted(outputName(field, naming))} ${typeSql(field.type, naming)}`).join(', ')})`
    case 'array':
      return `${typeSql(type.element, naming)}[]`
    case 'map':
      return `MAP(${typeSql(type.key, naming)}, ${typeSql(type.value, naming)})`
    default:
      return sqlType(type)
  }
}

/** Nothing but leaf types differs, and a cast does those. */
function isSame(node: ParquetNode, type: LogicalType, naming: Naming): boolean {
  switch (type.kind) {
    case 'struct':
      return (
        node.shape === 'struct' &&
        node.children.length === type.fields.length &&
        type.fields.every((field, index) => {
          const inner = findColumn(node.children, field, naming.byId)
          const isHere = inner !== undefined && inner === node.children[index]
          return isHere && inner.name === outputName(field, naming) && isSame(inner, field.type, naming)
        })
      )
    case 'array':
      return node.shape === 'list' && isSame(node.children[0]!, type.element, naming)
    case 'map':
      return (
        node.shape === 'map' &&
        isSame(node.children[0]!, type.key, naming) &&
        isSame(node.children[1]!, type.value, naming)
      )
    default:
      return (
        node.shape === 'leaf' &&
        type.kind !== 'void' &&
        node.type !== NO_TYPE &&
        !(node.type === 'BLOB' && isText(type)) &&
        !isBytesFromText(node, type) &&
        holds(node, type)
      )
  }
}

const isText = (type: LogicalType) => type.kind === 'string' || type.kind === 'variant'
