import { physicalName } from '../delta/column-mapping.ts'
import type { Field, LogicalType } from '../schema/types.ts'
import { findColumn, type ParquetNode } from './parquet-tree.ts'
import { literal, quoted, sqlType } from './sql.ts'

/** How the columns of files become columns of a SELECT. */
export interface Naming {
  /** Columns of files are found by field id, not by name. */
  byId: boolean
  /** Columns and struct fields keep the names of data files, to be written again. */
  physical: boolean
}

/** What a field is called in the SELECT, unquoted. */
export const outputName = (field: Field, naming: Naming): string => (naming.physical ? physicalName(field) : field.name)

/**
 * A column of a file as the table's type. A column that is as the table wants it stays one plain column, so that filters
 * reach the scan; otherwise structs are built anew, with null for fields that the file does not have.
 */
export function columnSql(value: string, node: ParquetNode, type: LogicalType, naming: Naming, depth = 0): string {
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
  const [only] = type.kind === 'struct' && type.fields.length === 1 ? type.fields : []
  if (only) {
    // The list element that the engine took the struct for: see `parquetColumns`.
    return `struct_pack(${quoted(outputName(only, naming))} := ${columnSql(value, node, only.type, naming, depth)})`
  }
  if (type.kind === 'array' && node.shape === 'list') {
    const element = columnSql(item, node.children[0]!, type.element, naming, depth + 1)
    return `list_transform(${value}, lambda ${item}: ${element})`
  }
  if (type.kind === 'map' && node.shape === 'map') {
    const [key, held] = node.children as [ParquetNode, ParquetNode]
    const entry = `struct_pack(k := ${columnSql(`${item}.key`, key, type.key, naming, depth + 1)}, v := ${columnSql(`${item}.value`, held, type.value, naming, depth + 1)})`
    return `case when ${value} is null then null else map_from_entries(list_transform(map_entries(${value}), lambda ${item}: ${entry})) end`
  }
  if (type.kind === 'void') return nullSql(type, naming)
  return `cast(${node.isBlob && isText(type) ? `decode(${value})` : value} as ${typeSql(type, naming)})`
}

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
      return node.shape === 'leaf' && type.kind !== 'void' && !(node.isBlob && isText(type))
  }
}

const isText = (type: LogicalType) => type.kind === 'string' || type.kind === 'variant'
