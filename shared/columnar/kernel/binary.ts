/** Readers of binary text. They return the decoded length, or -1 when the text is not of the form. */

@inline function hexDigit(c: u32): i32 {
  const d = c - 0x30
  if (d <= 9) return d
  const letter = (c | 0x20) - 0x61
  return letter <= 5 ? letter + 10 : -1
}

export function decodeHex(p: usize, end: usize, to: usize): i32 {
  if ((end - p) & 1) return -1
  const start = to
  for (; p < end; p += 2) {
    const high = hexDigit(load<u8>(p))
    const low = hexDigit(load<u8>(p + 1))
    if (high < 0 || low < 0) return -1
    store<u8>(to++, (high << 4) | low)
  }
  return <i32>(to - start)
}

@inline function base64Digit(c: u32): i32 {
  if (c - 0x41 < 26) return c - 0x41
  if (c - 0x61 < 26) return c - 0x61 + 26
  if (c - 0x30 < 10) return c - 0x30 + 52
  if (c == 0x2b || c == 0x2d) return 62
  return c == 0x2f || c == 0x5f ? 63 : -1
}

/** Either alphabet of RFC 4648, padded or not; bits left over must be zero. May decode in place. */
export function decodeBase64(p: usize, end: usize, to: usize): i32 {
  const padded = (end - p) & 3
  if (padded == 0 && end - p >= 4 && load<u8>(end - 1) == 0x3d) end -= load<u8>(end - 2) == 0x3d ? 2 : 1
  const rest = (end - p) & 3
  if (rest == 1) return -1
  const start = to
  for (; p + 4 <= end; p += 4) {
    const a = base64Digit(load<u8>(p))
    const b = base64Digit(load<u8>(p + 1))
    const c = base64Digit(load<u8>(p + 2))
    const d = base64Digit(load<u8>(p + 3))
    if ((a | b | c | d) < 0) return -1
    const bits = (a << 18) | (b << 12) | (c << 6) | d
    store<u8>(to, bits >> 16)
    store<u8>(to + 1, bits >> 8)
    store<u8>(to + 2, bits)
    to += 3
  }
  if (rest) {
    const a = base64Digit(load<u8>(p))
    const b = base64Digit(load<u8>(p + 1))
    const c = rest == 3 ? base64Digit(load<u8>(p + 2)) : 0
    if ((a | b | c) < 0) return -1
    const bits = (a << 18) | (b << 12) | (c << 6)
    if (rest == 2 ? bits & 0xffff : bits & 0xff) return -1
    store<u8>(to++, bits >> 16)
    if (rest == 3) store<u8>(to++, bits >> 8)
  }
  return <i32>(to - start)
}
