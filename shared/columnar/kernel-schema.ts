import { invariant } from '../core/errors.ts'
import { type Field, type LogicalType, primitiveKinds, type Schema } from '../schema/types.ts'
import { address, type Kernel } from './kernel.ts'

/** The order is the one of kernel/state.ts. */
const leafTypes: readonly string[] = [...primitiveKinds.filter((kind) => kind !== 'void'), 'decimal']

type LeafType = Exclude<LogicalType, { kind: 'struct' } | { kind: 'array' } | { kind: 'map' }>

/** Fields with a column in the file: those of type void have none (Delta protocol, "Void type"). */
const stored = (fields: readonly Field[]) => fields.filter(({ type }) => type.kind !== 'void')

const kinds = { leaf: 0, struct: 1, array: 2, map: 3 } as const

/** One element of the schema tree, as the kernel, the footer and the rejections see it. Parents come before children. */
export interface SchemaNode {
  /** The number of the node in the kernel. */
  id: number
  /** Name in JSON and in the Parquet file. */
  name: string
  physicalName: string
  fieldId: number | undefined
  type: LogicalType
  nullable: boolean
  /** `address.city`, `tags[]`, `labels.key`. */
  path: string
  /** Names in the Parquet file from the root on, with the levels that lists and maps add. */
  physicalPath: readonly string[]
  /** Definition level of a value that is present here, repetition level of the second element of a list or map. */
  present: number
  repetition: number
  children: readonly SchemaNode[]
}

export interface LeafNode extends SchemaNode {
  type: LeafType
  /** Bytes of a PLAIN value; 0 when the length varies or the value is a bit. */
  width: number
}

export const RESCUED_DATA = '_rescued_data'

type Outer = Pick<SchemaNode, 'physicalPath' | 'present' | 'repetition'>

/** The tree of a schema, numbered in the order in which `declareNodes` declares it. */
export function schemaTree(schema: Schema): SchemaNode {
  let count = 0
  const node = (field: Field, path: string, parent: Outer): SchemaNode => {
    const { name, type, nullable } = field
    const id = count++
    const physicalName = field.physicalName ?? name
    const repeated = type.kind === 'array' || type.kind === 'map'
    const made = {
      id,
      name,
      physicalName,
      fieldId: field.id,
      type,
      nullable,
      path,
      physicalPath: id === 0 ? [] : [...parent.physicalPath, physicalName],
      present: parent.present + (nullable ? 1 : 0),
      repetition: parent.repetition + (repeated ? 1 : 0),
    }
    const below = (inner: Field, innerPath: string, group: string) =>
      node(inner, innerPath, { ...made, physicalPath: [...made.physicalPath, group], present: made.present + 1 })
    const dotted = (inner: string) => (path === '' ? inner : `${path}.${inner}`)
    if (type.kind === 'struct') {
      return { ...made, children: stored(type.fields).map((inner) => node(inner, dotted(inner.name), made)) }
    }
    if (type.kind === 'array') {
      const element = {
        name: 'element',
        type: type.element,
        nullable: type.containsNull,
        ...nestedId(field, 'element'),
      }
      return { ...made, children: [below(element, `${path}[]`, 'list')] }
    }
    if (type.kind === 'map') {
      const key = { name: 'key', type: type.key, nullable: false, ...nestedId(field, 'key') }
      const value = { name: 'value', type: type.value, nullable: type.valueContainsNull, ...nestedId(field, 'value') }
      return { ...made, children: [below(key, dotted('key'), 'key_value'), below(value, dotted('value'), 'key_value')] }
    }
    return { ...made, children: [] }
  }
  const root = { kind: 'struct', fields: schema.fields } as const
  return node({ name: 'schema', type: root, nullable: false }, '', { physicalPath: [], present: 0, repetition: 0 })
}

/** Ids of the parts of lists and maps stand in the metadata of the column (Delta protocol, "IcebergCompatV2"). */
function nestedId(field: Field, part: string): { id?: number; metadata?: Readonly<Record<string, unknown>> } {
  const metadata = field.metadata
  const ids = metadata?.['delta.columnMapping.nested.ids'] as Record<string, number> | undefined
  const id = ids?.[`${field.physicalName ?? field.name}.${part}`]
  return { ...(id === undefined ? {} : { id }) }
}

/** The leaves below a node, in the order of the file's columns. */
export function leavesOf(node: SchemaNode): LeafNode[] {
  const { type } = node
  if (type.kind === 'struct' || type.kind === 'array' || type.kind === 'map') return node.children.flatMap(leavesOf)
  return [{ ...node, type, width: widthOf(type) }]
}

export function widthOf(type: LogicalType): number {
  switch (type.kind) {
    case 'byte':
    case 'short':
    case 'integer':
    case 'float':
    case 'date':
      return 4
    case 'long':
    case 'double':
    case 'timestamp':
    case 'timestamp_ntz':
      return 8
    case 'decimal':
      return decimalWidth(type.precision)
    default:
      return 0
  }
}

/** int32, int64, or the fewest bytes whose two's complement holds the precision (Parquet format, "DECIMAL"). */
function decimalWidth(precision: number): number {
  invariant(precision >= 1 && precision <= 38, `decimal precision ${precision} is not between 1 and 38`)
  if (precision <= 9) return 4
  if (precision <= 18) return 8
  return Math.ceil((Math.log2(10) * precision + 1) / 8)
}

/** Every node of the tree by its number. */
export function nodesOf(node: SchemaNode): SchemaNode[] {
  return [node, ...node.children.flatMap(nodesOf)]
}

/** Declares the tree to an opened kernel; without `writes` records can only be checked against it. */
export function declareNodes(kernel: Kernel, root: SchemaNode, writes: boolean) {
  kernel.beginNodes(nodesOf(root).length, leavesOf(root).length)
  const declare = (node: SchemaNode, maxRepetition: number) => {
    const { type, children } = node
    const container = type.kind === 'struct' || type.kind === 'array' || type.kind === 'map'
    // The name, a quote, and the name as JSON writes it, for paths in `_rescued_data`.
    const name = Buffer.from(`${node.name}"${JSON.stringify(node.name).slice(1, -1)}"`)
    const nameLength = Buffer.byteLength(node.name)
    const at = kernel.alloc(name.length)
    new Uint8Array(kernel.memory.buffer).set(name, address(at))
    const kind = kinds[container ? type.kind : 'leaf']
    const escapedLength = name.length - nameLength - 2
    const { id, present, repetition } = node
    kernel.addNode(kind, at, nameLength, escapedLength, children.length, !node.nullable, present, repetition)
    if (!container) {
      const leafType = leafTypes.indexOf(type.kind)
      invariant(leafType >= 0, `column ${node.path} is of type ${type.kind}, which no file holds`)
      const { precision, scale } = type.kind === 'decimal' ? type : { precision: 0, scale: 0 }
      kernel.addLeaf(id, leafType, precision, scale, widthOf(type), present, maxRepetition, writes)
    }
    children.forEach((child, i) => {
      declare(child, repetition)
      kernel.setChild(id, i, child.id)
    })
    if (type.kind === 'struct') kernel.finishStruct(id)
  }
  declare(root, 0)
}

/** `decimal(10,2)`, `array`, `long`: the type in a user's words. */
export function typeName(type: LogicalType): string {
  return type.kind === 'decimal' ? `decimal(${type.precision},${type.scale})` : type.kind
}
