/**
 * The first byte of the first sequence in [p, end) that is not well-formed UTF-8 (Unicode, table 3-7), or `end`.
 * A sequence that `end` cuts counts as ill-formed.
 */
export function invalidUtf8(p: usize, end: usize): usize {
  while (p < end) {
    while (p + 64 <= end) {
      const all = v128.or(
        v128.or(v128.load(p), v128.load(p, 16)),
        v128.or(v128.load(p, 32), v128.load(p, 48)),
      )
      if (i8x16.bitmask(all)) break
      p += 64
    }
    while (p < end && load<u8>(p) < 0x80) p++
    // Text that is not ASCII tends to stay so: go on sequence by sequence until 16 ASCII bytes come.
    while (p < end) {
      if (load<u8>(p) < 0x80) {
        if (p + 16 <= end && !i8x16.bitmask(v128.load(p))) break
        p++
        continue
      }
      const length = sequenceLength(p)
      if (length == 0 || p + length > end) return p
      p += length
    }
  }
  return end
}

@inline function isTail(p: usize): bool {
  return (load<u8>(p) & 0xc0) == 0x80
}

/** Bytes of the sequence at `p`, which begins outside ASCII; 0 when it is ill-formed. */
function sequenceLength(p: usize): i32 {
  const a = <i32>load<u8>(p)
  const b = <i32>load<u8>(p + 1)
  if (a < 0xc2 || !isTail(p + 1)) return 0
  if (a < 0xe0) return 2
  if (!isTail(p + 2)) return 0
  if (a < 0xf0) {
    // Not overlong, not a surrogate.
    if ((a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f)) return 0
    return 3
  }
  if (a > 0xf4 || !isTail(p + 3)) return 0
  return (a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f) ? 0 : 4
}
