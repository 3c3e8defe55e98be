import type { LogicalType } from '../schema/types.ts'
import { type LeafNode, type SchemaNode, widthOf } from './kernel-schema.ts'
import type { ChunkStatistics } from './leaf-statistics.ts'
import { ThriftWriter } from './thrift.ts'

/** Numbers of parquet.thrift. */
const physical = { boolean: 0, int32: 1, int64: 2, float: 4, double: 5, byteArray: 6, fixed: 7 } as const
const codecs = { none: 0, snappy: 1, gzip: 2, zstd: 6 } as const
const converted = {
  UTF8: 0,
  MAP: 1,
  LIST: 3,
  DECIMAL: 5,
  DATE: 6,
  TIMESTAMP_MICROS: 10,
  INT_8: 15,
  INT_16: 16,
} as const
const REQUIRED = 0
const OPTIONAL = 1
const REPEATED = 2
const DATA_PAGE = 0
const DICTIONARY_PAGE = 2
const PLAIN = 0
const RLE = 3
export const RLE_DICTIONARY = 8

export type Codec = keyof typeof codecs

/** One column chunk as it lies in the file. */
export interface Chunk {
  values: number
  encodings: readonly number[]
  /** Sizes with page headers. */
  rawBytes: number
  bytes: number
  offset: number
  dictionaryOffset: number | undefined
  statistics: ChunkStatistics
}

export interface RowGroup {
  rows: number
  chunks: readonly Chunk[]
}

const CREATED_BY = 'lakeflow-connect (build 1)'

/** A page header (parquet.thrift, `PageHeader`), with sizes before and after compression. */
export function dataPageHeader(values: number, encoding: number, rawBytes: number, bytes: number): Uint8Array {
  const out = new ThriftWriter()
  out.struct(() => {
    out.i32(1, DATA_PAGE)
    out.i32(2, rawBytes)
    out.i32(3, bytes)
    out.structField(5, () => {
      out.i32(1, values)
      out.i32(2, encoding)
      out.i32(3, RLE)
      out.i32(4, RLE)
    })
  })
  return out.bytes()
}

export function dictionaryPageHeader(entries: number, rawBytes: number, bytes: number): Uint8Array {
  const out = new ThriftWriter()
  out.struct(() => {
    out.i32(1, DICTIONARY_PAGE)
    out.i32(2, rawBytes)
    out.i32(3, bytes)
    out.structField(7, () => {
      out.i32(1, entries)
      out.i32(2, PLAIN)
    })
  })
  return out.bytes()
}

/** The file's end: metadata (parquet.thrift, `FileMetaData`), its length, and the magic number. */
export function footer(
  root: SchemaNode,
  leaves: readonly LeafNode[],
  groups: readonly RowGroup[],
  codec: Codec,
): Uint8Array {
  const out = new ThriftWriter()
  out.struct(() => {
    out.i32(1, 1)
    out.structList(2, schemaElements(root), (element) => writeElement(out, element))
    out.i64(
      3,
      groups.reduce((sum, group) => sum + group.rows, 0),
    )
    out.structList(4, groups, (group) => writeGroup(out, group, leaves, codec))
    out.binary(6, CREATED_BY)
    // Bounds compare in the order of the column's type.
    out.structList(7, leaves, () => out.structField(1, () => {}))
  })
  const metadata = out.bytes()
  const end = Buffer.alloc(metadata.length + 8)
  end.set(metadata)
  end.writeUInt32LE(metadata.length, metadata.length)
  end.write('PAR1', metadata.length + 4)
  return end
}

function writeGroup(out: ThriftWriter, group: RowGroup, leaves: readonly LeafNode[], codec: Codec) {
  const total = (size: 'rawBytes' | 'bytes') => group.chunks.reduce((sum, chunk) => sum + chunk[size], 0)
  const columns = group.chunks.map((chunk, i) => ({ chunk, leaf: leaves[i]! }))
  out.structList(1, columns, ({ chunk, leaf }) => {
    const start = chunk.dictionaryOffset ?? chunk.offset
    out.i64(2, start)
    out.structField(3, () => writeChunk(out, chunk, leaf, codec))
  })
  out.i64(2, total('rawBytes'))
  out.i64(3, group.rows)
  const first = group.chunks[0]
  if (first) out.i64(5, first.dictionaryOffset ?? first.offset)
  out.i64(6, total('bytes'))
}

function writeChunk(out: ThriftWriter, chunk: Chunk, leaf: LeafNode, codec: Codec) {
  out.i32(1, physicalType(leaf))
  out.i32List(2, chunk.encodings)
  out.binaryList(3, leaf.physicalPath)
  out.i32(4, codecs[codec])
  out.i64(5, chunk.values)
  out.i64(6, chunk.rawBytes)
  out.i64(7, chunk.bytes)
  out.i64(9, chunk.offset)
  if (chunk.dictionaryOffset !== undefined) out.i64(11, chunk.dictionaryOffset)
  out.structField(12, () => {
    const { nulls, min, max } = chunk.statistics
    out.i64(3, nulls)
    if (max) out.binary(5, max.bytes)
    if (min) out.binary(6, min.bytes)
    if (max) out.bool(7, max.exact)
    if (min) out.bool(8, min.exact)
  })
}

interface Element {
  name: string
  repetition?: number
  children?: number
  fieldId?: number | undefined
  type?: LogicalType
  group?: 'LIST' | 'MAP'
  width?: number
}

/** The schema as a depth-first list: lists as `list.element`, maps as `key_value.key/value` (LogicalTypes.md, "Nested Types"). */
function schemaElements(root: SchemaNode): Element[] {
  const below = (node: SchemaNode): Element[] => {
    const { type, children } = node
    const self = {
      name: node.physicalName,
      repetition: node.nullable ? OPTIONAL : REQUIRED,
      fieldId: node.fieldId,
    }
    const inner = children.flatMap(below)
    if (type.kind === 'struct') return [{ ...self, children: children.length }, ...inner]
    if (type.kind === 'array') {
      return [{ ...self, children: 1, group: 'LIST' }, { name: 'list', repetition: REPEATED, children: 1 }, ...inner]
    }
    if (type.kind === 'map') {
      return [
        { ...self, children: 1, group: 'MAP' },
        { name: 'key_value', repetition: REPEATED, children: 2 },
        ...inner,
      ]
    }
    return [{ ...self, type, width: widthOf(type) }]
  }
  return [{ name: 'schema', children: root.children.length }, ...root.children.flatMap(below)]
}

function writeElement(out: ThriftWriter, element: Element) {
  const { type } = element
  if (type) {
    const code = physicalType({ type, width: element.width! } as LeafNode)
    out.i32(1, code)
    if (code === physical.fixed) out.i32(2, element.width!)
  }
  if (element.repetition !== undefined) out.i32(3, element.repetition)
  out.binary(4, element.name)
  if (element.children !== undefined) out.i32(5, element.children)
  if (element.group) out.i32(6, converted[element.group])
  if (type) writeConverted(out, type)
  if (element.fieldId !== undefined) out.i32(9, element.fieldId)
  if (element.group) out.structField(10, () => out.structField(element.group === 'MAP' ? 2 : 3, () => {}))
  if (type) writeLogical(out, type)
}

/** The older annotation, for readers that know no logical types. */
function writeConverted(out: ThriftWriter, type: LogicalType) {
  if (type.kind === 'string' || type.kind === 'variant') out.i32(6, converted.UTF8)
  else if (type.kind === 'date') out.i32(6, converted.DATE)
  else if (type.kind === 'timestamp') out.i32(6, converted.TIMESTAMP_MICROS)
  else if (type.kind === 'byte') out.i32(6, converted.INT_8)
  else if (type.kind === 'short') out.i32(6, converted.INT_16)
  else if (type.kind === 'decimal') {
    out.i32(6, converted.DECIMAL)
    out.i32(7, type.scale)
    out.i32(8, type.precision)
  }
}

function writeLogical(out: ThriftWriter, type: LogicalType) {
  const empty = () => {}
  if (type.kind === 'string' || type.kind === 'variant') out.structField(10, () => out.structField(1, empty))
  else if (type.kind === 'date') out.structField(10, () => out.structField(6, empty))
  else if (type.kind === 'byte' || type.kind === 'short') {
    out.structField(10, () =>
      out.structField(10, () => {
        out.i8(1, type.kind === 'byte' ? 8 : 16)
        out.bool(2, true)
      }),
    )
  } else if (type.kind === 'decimal') {
    out.structField(10, () =>
      out.structField(5, () => {
        out.i32(1, type.scale)
        out.i32(2, type.precision)
      }),
    )
  } else if (type.kind === 'timestamp' || type.kind === 'timestamp_ntz') {
    out.structField(10, () =>
      out.structField(8, () => {
        out.bool(1, type.kind === 'timestamp')
        out.structField(2, () => out.structField(2, empty))
      }),
    )
  }
}

function physicalType({ type, width }: LeafNode): number {
  switch (type.kind) {
    case 'boolean':
      return physical.boolean
    case 'float':
      return physical.float
    case 'double':
      return physical.double
    case 'string':
    case 'binary':
    case 'variant':
      return physical.byteArray
    case 'decimal':
      return width === 4 ? physical.int32 : width === 8 ? physical.int64 : physical.fixed
    default:
      return width === 4 ? physical.int32 : physical.int64
  }
}
