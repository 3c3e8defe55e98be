import { IngestError } from '../core/errors.ts'

/**
 * Row numbers as Delta stores them: 64-bit portable Roaring (Delta protocol, "Deletion Vector Format"). A container holds
 * the rows that share their upper bits, as a sorted list up to 4,096 of them, then as a bitmap, or as runs.
 *
 *   int64  number of high words         int32  high word, ascending
 *                                       32-bit bitmap, RoaringFormatSpec: cookie, keys, offsets, containers
 */
const SERIAL_COOKIE_NO_RUNS = 12346
const SERIAL_COOKIE = 12347
const NO_OFFSET_THRESHOLD = 4
const ARRAY_LIMIT = 4096
const BITMAP_BYTES = 8192

/** The bytes of a set of row numbers. `rows` are distinct and ascending. */
export function encodeRoaring(rows: readonly number[]): Uint8Array {
  const groups = new Map<number, number[]>()
  for (const row of rows) {
    const high = Math.floor(row / 2 ** 32)
    const group = groups.get(high)
    if (group) group.push(row % 2 ** 32)
    else groups.set(high, [row % 2 ** 32])
  }
  const parts = [...groups].map(([high, lows]) => ({ high, bytes: encode32(lows) }))
  const out = new Uint8Array(8 + parts.reduce((sum, { bytes }) => sum + 4 + bytes.length, 0))
  const view = new DataView(out.buffer)
  view.setBigUint64(0, BigInt(parts.length), true)
  let at = 8
  for (const { high, bytes } of parts) {
    view.setUint32(at, high, true)
    out.set(bytes, at + 4)
    at += 4 + bytes.length
  }
  return out
}

/**
 * The row numbers in a serialized set, ascending.
 * @throws IngestError `table.corrupt` (fix)
 */
export function decodeRoaring(bytes: Uint8Array): number[] {
  const rows: number[] = []
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const words = Number(view.getBigUint64(0, true))
    let at = 8
    for (let word = 0; word < words; word++) {
      const high = view.getUint32(at, true)
      at = decode32(view, at + 4, high * 2 ** 32, rows)
    }
  } catch (cause) {
    if (cause instanceof IngestError) throw cause
    throw corrupt(cause)
  }
  return rows
}

function encode32(rows: readonly number[]): Uint8Array {
  const containers: { key: number; lows: number[] }[] = []
  for (const row of rows) {
    const key = row >>> 16
    const last = containers.at(-1)
    if (last?.key === key) last.lows.push(row & 0xffff)
    else containers.push({ key, lows: [row & 0xffff] })
  }
  const header = 8 + containers.length * 8
  const size = containers.reduce((sum, { lows }) => sum + containerBytes(lows.length), header)
  const out = new Uint8Array(size)
  const view = new DataView(out.buffer)
  view.setUint32(0, SERIAL_COOKIE_NO_RUNS, true)
  view.setUint32(4, containers.length, true)
  let at = header
  for (const [index, { key, lows }] of containers.entries()) {
    view.setUint16(8 + index * 4, key, true)
    view.setUint16(10 + index * 4, lows.length - 1, true)
    view.setUint32(8 + containers.length * 4 + index * 4, at, true)
    if (lows.length <= ARRAY_LIMIT) for (const [slot, low] of lows.entries()) view.setUint16(at + slot * 2, low, true)
    else for (const low of lows) out[at + (low >> 3)]! |= 1 << (low & 7)
    at += containerBytes(lows.length)
  }
  return out
}

const containerBytes = (count: number) => (count <= ARRAY_LIMIT ? count * 2 : BITMAP_BYTES)

/** Appends the rows of a 32-bit bitmap at `start` to `rows`, each plus `base`; returns where it ends. */
function decode32(view: DataView, start: number, base: number, rows: number[]): number {
  const cookie = view.getUint32(start, true)
  const hasRuns = (cookie & 0xffff) === SERIAL_COOKIE
  if (!hasRuns && cookie !== SERIAL_COOKIE_NO_RUNS) throw corrupt(undefined)
  const count = hasRuns ? (cookie >>> 16) + 1 : view.getUint32(start + 4, true)
  let at = start + (hasRuns ? 4 : 8)
  const runFlags = at
  if (hasRuns) at += (count + 7) >> 3
  const keys = at
  at += count * 4
  // The offsets say where each container begins; they follow one another, so they are passed over.
  if (!hasRuns || count >= NO_OFFSET_THRESHOLD) at += count * 4
  for (let index = 0; index < count; index++) {
    const from = base + view.getUint16(keys + index * 4, true) * 65_536
    const cardinality = view.getUint16(keys + index * 4 + 2, true) + 1
    if (hasRuns && view.getUint8(runFlags + (index >> 3)) & (1 << (index & 7))) {
      const runs = view.getUint16(at, true)
      at += 2
      for (let run = 0; run < runs; run++, at += 4) {
        const first = view.getUint16(at, true)
        const length = view.getUint16(at + 2, true)
        for (let low = first; low <= first + length; low++) rows.push(from + low)
      }
    } else if (cardinality <= ARRAY_LIMIT) {
      for (let slot = 0; slot < cardinality; slot++, at += 2) rows.push(from + view.getUint16(at, true))
    } else {
      for (let byte = 0; byte < BITMAP_BYTES; byte++, at++) {
        const bits = view.getUint8(at)
        for (let bit = 0; bit < 8; bit++) if (bits & (1 << bit)) rows.push(from + byte * 8 + bit)
      }
    }
  }
  return at
}

const corrupt = (cause: unknown) =>
  new IngestError('table.corrupt', 'a deletion vector is not a Roaring bitmap; restore its file', { cause })
