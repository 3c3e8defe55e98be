/**
 * An LZ4 block unpacked to `length` bytes (LZ4 block format): Parquet's codec LZ4_RAW.
 * @throws RangeError when the block does not hold exactly that
 */
export function unpackLz4(block: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length)
  const end = unpackBlock(block, out, 0)
  if (end !== length) throw new RangeError(`an LZ4 block holds ${end} bytes where ${length} are wanted`)
  return out
}

/**
 * Parquet's older codec LZ4, unpacked: blocks as Hadoop frames them, or a bare one, as some writers have it.
 *
 *   [bytes unpacked][bytes packed][block] [bytes unpacked][bytes packed][block] ...
 */
export function unpackHadoopLz4(input: Uint8Array, length: number): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength)
  const out = new Uint8Array(length)
  let [at, filled] = [0, 0]
  while (at + 8 <= input.length) {
    const [unpacked, packed] = [view.getUint32(at), view.getUint32(at + 4)]
    if (filled + unpacked > length || at + 8 + packed > input.length) return unpackLz4(input, length)
    at += 8
    filled = unpackBlock(input.subarray(at, at + packed), out, filled)
    at += packed
  }
  return at === input.length && filled === length ? out : unpackLz4(input, length)
}

/** Unpacks into `out` from `start` on, and returns where it ended. */
function unpackBlock(block: Uint8Array, out: Uint8Array, start: number): number {
  let [at, to] = [0, start]
  /** A length of 15 goes on in bytes of 255 and a last one below. */
  const lengthFrom = (nibble: number) => {
    let length = nibble
    for (let byte = nibble === 15 ? 255 : 0; byte === 255; length += byte) {
      if (at >= block.length) throw new RangeError('an LZ4 block is cut short')
      byte = block[at++]!
    }
    return length
  }
  while (at < block.length) {
    const token = block[at++]!
    const literals = lengthFrom(token >> 4)
    if (at + literals > block.length || to + literals > out.length) throw new RangeError('an LZ4 block is cut short')
    out.set(block.subarray(at, at + literals), to)
    at += literals
    to += literals
    // The last sequence is literals alone.
    if (at === block.length) break
    const distance = block[at]! | (block[at + 1]! << 8)
    at += 2
    const matched = 4 + lengthFrom(token & 15)
    if (distance === 0 || distance > to || to + matched > out.length) throw new RangeError('an LZ4 block is damaged')
    // A match may reach into what it makes, so it is copied byte by byte.
    for (const end = to + matched; to < end; to++) out[to] = out[to - distance]!
  }
  return to
}
