import { gzipSync, constants as zlib, zstdCompressSync } from 'node:zlib'
import type { Row } from '../core/change.ts'
import { invariant } from '../core/errors.ts'
import type { Schema } from '../schema/types.ts'
import type { BatchOptions, BatchWriter, FinishedFile, Rejection } from './batch-writer.ts'
import {
  type Chunk,
  type Codec,
  dataPageHeader,
  dictionaryPageHeader,
  footer,
  RLE_DICTIONARY,
  type RowGroup,
} from './footer.ts'
import { address, type Kernel, NEEDS_SERVICE, releaseKernel } from './kernel.ts'
import { type LeafNode, leavesOf, type SchemaNode, schemaTree } from './kernel-schema.ts'
import { mergeStatistics, readStatistics } from './leaf-statistics.ts'
import { feedPiece, openKernel, PIECE_BYTES } from './open-kernel.ts'
import { rowText } from './row-text.ts'

const MAGIC = Buffer.from('PAR1')
const PLAIN = 0
const RLE = 3

/** The pages of one column in the open row group, compressed. */
interface OpenChunk {
  pages: Uint8Array[]
  encodings: Set<number>
  values: number
  rawBytes: number
  bytes: number
}

const emptyChunk = (): OpenChunk => ({ pages: [], encodings: new Set([RLE]), values: 0, rawBytes: 0, bytes: 0 })

type Format = 'json' | 'copy' | 'csv' | 'rows'
type Parser = 'parseJson' | 'checkJson' | 'parseCopy' | 'checkCopy' | 'parseCsv' | 'checkCsv'
const parsers = { json: 'parseJson', rows: 'parseJson', copy: 'parseCopy', csv: 'parseCsv' } as const

/** The `BatchWriter` over one kernel instance: moves bytes in, takes pages out, and lays out the file. */
export class ParquetWriter implements BatchWriter {
  readonly #options: BatchOptions
  readonly #schema: Schema
  readonly #root: SchemaNode
  readonly #leaves: readonly LeafNode[]
  readonly #codec: Codec
  readonly #rowGroupBytes: number
  readonly #groups: RowGroup[] = []
  #kernel: Kernel | undefined
  #chunks: OpenChunk[]
  #groupBytes = 0
  #closedRows = 0
  #out: Uint8Array[] = [MAGIC]
  #offset = MAGIC.length
  #rejected: Rejection[] = []
  #rejectedCount = 0
  #format: Format | undefined

  constructor(schema: Schema, options: BatchOptions) {
    this.#schema = schema
    this.#options = options
    this.#codec = options.compression ?? 'snappy'
    this.#rowGroupBytes = options.rowGroupBytes ?? 32 << 20
    this.#root = schemaTree(schema)
    this.#leaves = leavesOf(this.#root)
    this.#chunks = this.#leaves.map(emptyChunk)
    this.#kernel = openKernel(this.#root, options, true, (rejection) => {
      const { start, end, ...rest } = rejection
      this.#rejected.push(this.#format === 'rows' ? rest : rejection)
      this.#rejectedCount++
    })
  }

  append(bytes: Uint8Array, whole = false) {
    this.#use('json')
    this.#feed(bytes, 'parseJson', 'checkJson', whole)
  }

  appendCopy(bytes: Uint8Array) {
    this.#use('copy')
    this.#feed(bytes, 'parseCopy', 'checkCopy')
  }

  appendCsv(bytes: Uint8Array) {
    this.#use('csv')
    this.#feed(bytes, 'parseCsv', 'checkCsv')
  }

  appendRows(rows: readonly Row[]) {
    this.#use('rows')
    this.#feed(rowText(rows, this.#schema.fields, this.#options), 'parseJson', 'checkJson')
  }

  get rows(): number {
    return this.#closedRows + (this.#kernel?.rowCount() ?? 0)
  }

  get bufferedBytes(): number {
    return this.#groupBytes + (this.#kernel ? this.#kernel.openBytes() + this.#kernel.unread() : 0)
  }

  take(): Uint8Array[] {
    const out = this.#out
    this.#out = []
    return out
  }

  takeRejected(): Rejection[] {
    const rejected = this.#rejected
    this.#rejected = []
    return rejected
  }

  finish(): FinishedFile {
    const kernel = this.#open
    if (this.#format) this.#parse(parsers[this.#format], true)
    if (kernel.rowCount() > 0) this.#closeRowGroup()
    this.#push(footer(this.#root, this.#leaves, this.#groups, this.#codec))
    this.#kernel = undefined
    releaseKernel(kernel)
    return {
      rows: this.#closedRows,
      sizeBytes: this.#offset,
      rejected: this.#rejectedCount,
      stats: this.#leaves.map((leaf, i) =>
        mergeStatistics(
          leaf,
          this.#groups.map((group) => group.chunks[i]!.statistics),
        ),
      ),
    }
  }

  get #open(): Kernel {
    invariant(this.#kernel, 'a batch writer was used after it had finished')
    return this.#kernel
  }

  #use(format: Format) {
    invariant(!this.#format || this.#format === format, `a batch writer was given ${this.#format} and then ${format}`)
    this.#format = format
  }

  #feed(bytes: Uint8Array, parse: Parser, check: Parser, whole = false) {
    if (this.#options.reject !== 'all') return this.#read(bytes, parse, whole)
    const kernel = this.#open
    const rejectedBefore = this.#rejectedCount
    const position = { records: kernel.recordsRead(), rows: kernel.rowCount(), read: kernel.bytesRead() }
    this.#read(bytes, check, true)
    kernel.setRows(position.rows)
    if (this.#rejectedCount > rejectedBefore) return
    kernel.setRecords(position.records)
    kernel.setBytesRead(position.read)
    this.#read(bytes, parse, true)
  }

  /** Reads all bytes; with `whole`, they end with a complete record. */
  #read(bytes: Uint8Array, parse: Parser, whole: boolean) {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      feedPiece(this.#open, bytes.subarray(at, at + PIECE_BYTES))
      this.#parse(parse, whole && at + PIECE_BYTES >= bytes.length)
    }
    if (whole) this.#open.endText()
  }

  #parse(parse: Parser, final: boolean) {
    const kernel = this.#open
    while (kernel[parse](final) === NEEDS_SERVICE) this.#serve()
  }

  /** Writes the pages that are full, and the row group when it is. */
  #serve() {
    const kernel = this.#open
    for (let leaf = kernel.nextDue(0); leaf >= 0; leaf = kernel.nextDue(leaf + 1)) this.#writePage(leaf)
    if (this.#groupBytes + kernel.openBytes() >= this.#rowGroupBytes) this.#closeRowGroup()
  }

  #writePage(leaf: number) {
    const kernel = this.#open
    const rawBytes = kernel.writePage(leaf)
    const chunk = this.#chunks[leaf]!
    const encoding = kernel.pageEncoding()
    const body = this.#compress(rawBytes)
    const header = dataPageHeader(kernel.pageValues(), encoding, rawBytes, body.length)
    chunk.pages.push(header, body)
    chunk.encodings.add(encoding)
    chunk.values += kernel.pageValues()
    chunk.rawBytes += header.length + rawBytes
    chunk.bytes += header.length + body.length
    this.#groupBytes += rawBytes
  }

  /** The kernel's page, compressed, in memory of its own. */
  #compress(rawBytes: number): Uint8Array {
    const kernel = this.#open
    if (this.#codec === 'snappy') {
      const bytes = kernel.compress(rawBytes)
      return Buffer.from(new Uint8Array(kernel.memory.buffer, address(kernel.compressedAt()), bytes))
    }
    const page = new Uint8Array(kernel.memory.buffer, address(kernel.pageAt()), rawBytes)
    if (this.#codec === 'zstd') return zstdCompressSync(page, { params: { [zlib.ZSTD_c_compressionLevel]: 1 } })
    return this.#codec === 'gzip' ? gzipSync(page, { level: 6 }) : page.slice()
  }

  #closeRowGroup() {
    const kernel = this.#open
    const rows = kernel.rowCount()
    const chunks = this.#leaves.map((_, leaf) => {
      if (kernel.hasPage(leaf)) this.#writePage(leaf)
      return this.#closeChunk(leaf)
    })
    kernel.newRowGroup()
    this.#groups.push({ rows, chunks })
    this.#closedRows += rows
    this.#groupBytes = 0
  }

  /** Lays the chunk into the file: dictionary page first, then its data pages. */
  #closeChunk(leaf: number): Chunk {
    const kernel = this.#open
    const { pages, encodings, values, ...sizes } = this.#chunks[leaf]!
    let { rawBytes, bytes } = sizes
    let dictionaryOffset: number | undefined
    const dictionaryBytes = kernel.writeDictionary(leaf)
    if (encodings.has(RLE_DICTIONARY)) {
      dictionaryOffset = this.#offset
      const body = this.#compress(dictionaryBytes)
      const header = dictionaryPageHeader(kernel.pageValues(), dictionaryBytes, body.length)
      this.#push(header)
      this.#push(body)
      encodings.add(PLAIN)
      rawBytes += header.length + dictionaryBytes
      bytes += header.length + body.length
    }
    const offset = this.#offset
    for (const page of pages) this.#push(page)
    const statistics = readStatistics(kernel, leaf, this.#leaves[leaf]!)
    kernel.newChunk(leaf)
    this.#chunks[leaf] = emptyChunk()
    return {
      values,
      encodings: [...encodings].sort((a, b) => a - b),
      rawBytes,
      bytes,
      offset,
      dictionaryOffset,
      statistics,
    }
  }

  #push(bytes: Uint8Array) {
    this.#out.push(bytes)
    this.#offset += bytes.length
  }
}

/**
 * A writer of one Parquet file with the columns of `schema`.
 *
 * It holds one instance of the kernel until `finish`. A writer that is dropped without it is collected as garbage.
 */
export function createBatchWriter(schema: Schema, options: BatchOptions = {}): BatchWriter {
  return new ParquetWriter(schema, options)
}
