import { ZerobusError } from './errors.ts'

export type Compression = 'none' | 'gzip' | 'zstd'

/** Records `offset` to `offset + lines.length - 1`, each the JSON text of one record. */
export interface Batch {
  offset: number
  lines: string[]
  /** UTF-16 length of the lines: cheap, and exact for ASCII. */
  size: number
  encoded?: { encoding: Compression; rows: Uint8Array }
}

export const endOf = (batch: Batch): number => batch.offset + batch.lines.length

const encoder = new TextEncoder()

/** Under this size compression costs more than it saves. */
const MIN_COMPRESS_BYTES = 1024

/** The batch's rows as they travel; kept on the batch, so that a resend does not compress again. */
export async function encodeRows(batch: Batch, compression: Compression) {
  if (batch.encoded) return batch.encoded
  const raw = encoder.encode(`${batch.lines.join('\n')}\n`)
  const encoding = raw.length < MIN_COMPRESS_BYTES ? 'none' : compression
  batch.encoded = { encoding, rows: encoding === 'none' ? raw : await compress(raw, encoding) }
  return batch.encoded
}

/** The records of a batch from `offset` on, as a batch of its own. */
export function tailOf(batch: Batch, offset: number): Batch {
  return makeBatch(offset, batch.lines.slice(offset - batch.offset))
}

export function makeBatch(offset: number, lines: string[]): Batch {
  return { offset, lines, size: lines.reduce((sum, line) => sum + line.length + 1, 0) }
}

/** Records in batches of about `maxSize`. */
export function inBatches(offset: number, lines: readonly string[], maxSize: number): Batch[] {
  const batches: Batch[] = []
  let batch = makeBatch(offset, [])
  for (const line of lines) {
    if (batch.size >= maxSize) batch = makeBatch(endOf(batch), [])
    if (batch.lines.length === 0) batches.push(batch)
    batch.lines.push(line)
    batch.size += line.length + 1
  }
  return batches
}

/** An ingest message: docs/protocol.md, "Frames". */
export function encodeMessage(
  batch: Batch,
  { encoding, rows }: NonNullable<Batch['encoded']>,
  binary: boolean,
): Uint8Array<ArrayBuffer> | string {
  const header = { type: 'ingest', offset: batch.offset, count: batch.lines.length, encoding }
  if (!binary)
    return JSON.stringify({ ...header, rows: encoding === 'none' ? new TextDecoder().decode(rows) : toBase64(rows) })
  const text = encoder.encode(JSON.stringify(header))
  const frame = new Uint8Array(4 + text.length + rows.length)
  new DataView(frame.buffer).setUint32(0, text.length)
  frame.set(text, 4)
  frame.set(rows, 4 + text.length)
  return frame
}

async function compress(raw: Uint8Array<ArrayBuffer>, encoding: 'gzip' | 'zstd'): Promise<Uint8Array> {
  if (encoding === 'zstd') return zstd(raw)
  const stream = new Blob([raw]).stream().pipeThrough(new CompressionStream('gzip'))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

interface NodeZlib {
  zstdCompress?(raw: Uint8Array, done: (error: Error | null, bytes: Uint8Array) => void): void
}

/** Browsers have no zstd encoder; Node has it in its own zlib, found without an import so that bundlers see none. */
function zstd(raw: Uint8Array): Promise<Uint8Array> {
  const runtime = (globalThis as { process?: { getBuiltinModule?(name: string): unknown } }).process
  const zlib = runtime?.getBuiltinModule?.('node:zlib') as NodeZlib | undefined
  if (!zlib?.zstdCompress)
    throw new ZerobusError('usage.invalid', 'this platform has no zstd; use compression gzip or none')
  return new Promise((resolve, reject) =>
    zlib.zstdCompress!(raw, (error, bytes) => (error ? reject(error) : resolve(bytes))),
  )
}

export function toBase64(bytes: Uint8Array): string {
  let text = ''
  // In pieces, because a call takes only so many arguments.
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return btoa(text)
}
