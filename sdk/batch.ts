import { ZerobusError } from './errors.ts'

export type Compression = 'none' | 'gzip' | 'zstd'

/** Records `offset` to `offset + lines.length - 1`, each the JSON text of one record. */
export interface Batch {
  offset: number
  lines: string[]
  /** UTF-16 length of the lines: cheap, and exact for ASCII. */
  size: number
  /** As it travels, and its size before compression. */
  encoded?: { encoding: Compression; rows: Uint8Array; rawBytes: number }
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
  batch.encoded = { encoding, rows: encoding === 'none' ? raw : await compress(raw, encoding), rawBytes: raw.length }
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

/** A record as one line of JSON. @throws ZerobusError `push.too_large`, `usage.invalid` */
export function toLine(record: string | Uint8Array | object, maxBytes: number): string {
  let line = textOf(record)
  // A raw line break cannot stand inside a JSON string, so it is layout and may become a space.
  if (/[\n\r]/.test(line)) line = line.replace(/[\n\r]+/g, ' ')
  // A blank line is no record to the server, and an array more than one: every later one would be at a wrong offset.
  if (/^\s*(\[|$)/.test(line)) throw notOneObject(line.trim() === '' ? 'blank' : 'an array')
  if (line.length > maxBytes)
    throw new ZerobusError(
      'push.too_large',
      `a record of ${line.length} characters is over the limit of ${maxBytes} bytes`,
    )
  return line
}

function textOf(record: string | Uint8Array | object): string {
  if (typeof record === 'string') return record.isWellFormed() ? record : escapeSurrogates(record)
  if (typeof record !== 'object' || record === null) throw notOneObject(`${record}`)
  if (record instanceof Uint8Array) return utf8(record)
  let text: string | undefined
  try {
    text = JSON.stringify(record)
  } catch {
    text = withBigInts(record)
  }
  return text ?? ''
}

const notOneObject = (what: string) =>
  new ZerobusError('usage.invalid', `a record is ${what}; give one object, or the JSON text of one`)

/** Half of a pair is nothing in UTF-8, which would replace it, but can be said in JSON. */
const escapeSurrogates = (text: string) =>
  text.replace(/\p{Surrogate}/gu, (half) => `\\u${half.charCodeAt(0).toString(16)}`)

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new ZerobusError('usage.invalid', 'the bytes of a record are not UTF-8', { cause })
  }
}

/** JSON has no `bigint`, but numbers of any length; only newer platforms can write them. */
function withBigInts(record: object): string {
  const { rawJSON } = JSON as { rawJSON?: (text: string) => unknown }
  try {
    return JSON.stringify(record, (_, value) => (typeof value === 'bigint' && rawJSON ? rawJSON(`${value}`) : value))
  } catch (cause) {
    throw new ZerobusError('usage.invalid', `a record cannot be written as JSON: ${(cause as Error).message}`, {
      cause,
    })
  }
}

/** An ingest message and its size on the wire: docs/protocol.md, "Frames". */
export function encodeMessage(
  batch: Batch,
  { encoding, rows }: NonNullable<Batch['encoded']>,
  binary: boolean,
): { data: Uint8Array<ArrayBuffer> | string; bytes: number } {
  const header = { type: 'ingest', offset: batch.offset, count: batch.lines.length, encoding }
  if (!binary) {
    const data = JSON.stringify({
      ...header,
      rows: encoding === 'none' ? new TextDecoder().decode(rows) : toBase64(rows),
    })
    // A text is only encoded to be measured when it may hold more than ASCII: base64 does not.
    return { data, bytes: encoding === 'none' ? encoder.encode(data).length : data.length }
  }
  const text = encoder.encode(JSON.stringify(header))
  const frame = new Uint8Array(4 + text.length + rows.length)
  new DataView(frame.buffer).setUint32(0, text.length)
  frame.set(text, 4)
  frame.set(rows, 4 + text.length)
  return { data: frame, bytes: frame.length }
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
