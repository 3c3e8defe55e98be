/** Writers of the RLE / bit-packed hybrid (Parquet format, "Encodings", RLE = 3). */

export function putVarint(to: usize, v: u32): usize {
  while (v > 127) {
    store<u8>(to++, (v & 127) | 128)
    v >>= 7
  }
  store<u8>(to, v)
  return to + 1
}

export function bitWidth(largest: i32): i32 {
  return 32 - clz<i32>(largest)
}

/** Bytes that `n` values can take at most. */
export function hybridBound(n: i32, width: i32): i32 {
  return (((n + 7) >> 3) * (width + 1) + 64) + n / 8 * 5
}

@inline function runOfBytes(p: usize, n: i32): i32 {
  const value = load<u8>(p)
  const same = i8x16.splat(<i8>value)
  let i = 1
  while (i + 16 <= n) {
    const mask = i8x16.bitmask(i8x16.ne(v128.load(p + i), same))
    if (mask) return i + ctz<i32>(mask)
    i += 16
  }
  while (i < n && load<u8>(p + i) == value) i++
  return i
}

/** Levels of one byte each. Runs of 16 or more are run-length encoded, what is between them is packed. */
export function putLevels(to: usize, from: usize, n: i32, width: i32): usize {
  let i = 0
  while (i < n) {
    const run = runOfBytes(from + i, n - i)
    if (run >= 16 || i + run == n) {
      to = putVarint(to, run << 1)
      store<u8>(to++, load<u8>(from + i))
      i += run
      continue
    }
    // Packed groups of eight, until a long run begins.
    let end = i
    while (end < n) {
      end += 8
      if (end + 16 <= n && runOfBytes(from + end, 16) >= 16) break
    }
    const groups = (min(end, n) - i + 7) >> 3
    to = putVarint(to, (groups << 1) | 1)
    for (let g = 0; g < groups; g++) {
      const at = i + g * 8
      let packed: u64 = 0
      for (let b = 0; b < 8; b++) if (at + b < n) packed |= <u64>load<u8>(from + at + b) << (b * width)
      store<u64>(to, packed)
      to += width
    }
    i += groups * 8
  }
  return to
}

@inline function runOfWords(p: usize, n: i32): i32 {
  const value = load<i32>(p)
  let i = 1
  while (i < n && load<i32>(p + (<usize>i << 2)) == value) i++
  return i
}

/** Dictionary indexes of four bytes each. */
export function putIndexes(to: usize, from: usize, n: i32, width: i32): usize {
  let i = 0
  const bytes = (width + 7) >> 3
  while (i < n) {
    const run = runOfWords(from + 4 * i, n - i)
    if (run >= 8) {
      to = putVarint(to, run << 1)
      store<u32>(to, load<u32>(from + 4 * i))
      to += bytes
      i += run
      continue
    }
    let end = i
    while (end < n) {
      end += 8
      if (end + 8 <= n && load<u32>(from + 4 * end) == load<u32>(from + 4 * end + 28) && runOfWords(from + 4 * end, 8) >= 8) break
    }
    const groups = (min(end, n) - i + 7) >> 3
    to = putVarint(to, (groups << 1) | 1)
    let packed: u64 = 0
    let bits = 0
    const stop = i + groups * 8
    for (let q = i; q < stop; q++) {
      const index = q < n ? <u64>load<u32>(from + (<usize>q << 2)) : 0
      packed |= index << bits
      bits += width
      if (bits >= 32) {
        store<u32>(to, <u32>packed)
        to += 4
        packed >>= 32
        bits -= 32
      }
    }
    while (bits > 0) {
      store<u8>(to++, <u8>packed)
      packed >>= 8
      bits -= 8
    }
    i = stop
  }
  return to
}
