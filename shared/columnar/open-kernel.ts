import { IngestError } from '../core/errors.ts'
import type { BatchOptions, CsvDialect, Rejection } from './batch-writer.ts'
import { acquireKernel, address, type Kernel } from './kernel.ts'
import { declareNodes, nodesOf, RESCUED_DATA, type SchemaNode } from './kernel-schema.ts'
import { rejectionReader } from './rejections.ts'

/** Input goes to the kernel in pieces of this size: they stay in the processor's cache while they are read. */
export const PIECE_BYTES = 64 << 10
const MAX_RECORD_BYTES = 64 << 20
/** The kernel holds the unread record up to eight times over, in a memory of 4 GiB. */
const MOST_RECORD_BYTES = 256 << 20

/** A kernel with a schema and options, ready for input; without `writes` it only checks. */
export function openKernel(
  root: SchemaNode,
  options: BatchOptions,
  writes: boolean,
  onRejected: (rejection: Rejection) => void,
): Kernel {
  const rescue = options.unknownFields === 'rescue'
  const rescueColumn = root.children.find(({ name }) => name === RESCUED_DATA)
  if (rescue && !(rescueColumn?.type.kind === 'string' && rescueColumn.nullable)) {
    throw new IngestError(
      'table.schema_changed',
      `the schema has no nullable string column ${RESCUED_DATA}, which unknownFields "rescue" fills; add it`,
    )
  }
  const maxRecordBytes = options.maxRecordBytes ?? MAX_RECORD_BYTES
  if (!(maxRecordBytes >= 1 && maxRecordBytes <= MOST_RECORD_BYTES)) {
    throw new IngestError(
      'config.invalid',
      `maxRecordBytes is ${maxRecordBytes}; choose a number of bytes from 1 to ${MOST_RECORD_BYTES}`,
    )
  }
  const kernel = acquireKernel()
  kernel.open(
    { ignore: 0, reject: 1, rescue: 2 }[options.unknownFields ?? 'ignore'],
    { seconds: 6, millis: 3, micros: 0 }[options.epoch ?? 'micros'],
    options.binary === 'hex',
    options.nonFinite ?? true,
    options.pageBytes ?? 1 << 20,
    maxRecordBytes,
  )
  declareNodes(kernel, root, writes)
  if (rescue) kernel.setRescueColumn(rescueColumn!.id)
  openCsv(kernel, options.csv ?? {})
  const read = rejectionReader(kernel, nodesOf(root), maxRecordBytes)
  kernel.onRejected = (...details) => onRejected(read(...details))
  return kernel
}

function openCsv(kernel: Kernel, dialect: CsvDialect) {
  const { delimiter = ',', quote = '"', header = false, nullText = '' } = dialect
  const byte = (name: string, text: string) => {
    const code = text === '' && name !== 'delimiter' ? 0 : text.charCodeAt(0)
    if (text.length > 1 || code > 127 || Number.isNaN(code)) {
      throw new IngestError('config.invalid', `csv ${name} "${text}" is not one ASCII character`)
    }
    return code
  }
  const text = Buffer.from(nullText)
  const at = kernel.alloc(text.length)
  new Uint8Array(kernel.memory.buffer).set(text, address(at))
  const [d, q, e] = [byte('delimiter', delimiter), byte('quote', quote), byte('escape', dialect.escape ?? quote)]
  kernel.openCsv(d, q, e, header, at, text.length)
}

export function feedPiece(kernel: Kernel, piece: Uint8Array) {
  const at = kernel.reserveInput(piece.length)
  new Uint8Array(kernel.memory.buffer).set(piece, address(at))
  kernel.feedInput(piece.length)
}
