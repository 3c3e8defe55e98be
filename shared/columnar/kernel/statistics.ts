import { Leaf } from './leaf'
import { BINARY, BOOLEAN, DECIMAL, DOUBLE, FLOAT, STRING, VARIANT } from './state'

/** Bytes of a string's bounds that are kept. What is longer is cut, and rounded up for a maximum, by the footer. */
export const BOUND_BYTES = 256

export function clearStatistics(l: Leaf): void {
  l.hasStats = false
  l.sawNaN = false
  l.nulls = 0
}

/**
 * Folds `count` PLAIN values into the bounds of the chunk. Called on whole pages and dictionaries, not on values: a
 * record that is taken back never gets here.
 */
export function foldValues(l: Leaf, from: usize, count: i32): void {
  if (count == 0) return
  if (l.type == VARIANT) return
  if (l.type == STRING || l.type == BINARY) foldTexts(l, from, count)
  else if (l.type == DOUBLE) foldDoubles<f64>(l, from, count)
  else if (l.type == FLOAT) foldDoubles<f32>(l, from, count)
  else if (l.type == BOOLEAN) foldInts<u8>(l, from, count)
  else if (l.type == DECIMAL && l.width > 8) foldWide(l, from, count)
  else if (l.width == 4) foldInts<i32>(l, from, count)
  else foldInts<i64>(l, from, count)
}

function foldInts<T>(l: Leaf, from: usize, count: i32): void {
  let low = load<T>(from)
  let high = low
  const end = from + <usize>count * sizeof<T>()
  for (let p = from; p < end; p += sizeof<T>()) {
    const v = load<T>(p)
    low = min(low, v)
    high = max(high, v)
  }
  if (!l.hasStats || <i64>low < l.minInt) l.minInt = <i64>low
  if (!l.hasStats || <i64>high > l.maxInt) l.maxInt = <i64>high
  l.hasStats = true
}

function foldDoubles<T>(l: Leaf, from: usize, count: i32): void {
  const end = from + <usize>count * sizeof<T>()
  for (let p = from; p < end; p += sizeof<T>()) {
    const v = <f64>load<T>(p)
    if (v != v) {
      l.sawNaN = true
      continue
    }
    if (!l.hasStats) {
      l.hasStats = true
      l.minFloat = v
      l.maxFloat = v
    } else {
      l.minFloat = min(l.minFloat, v)
      l.maxFloat = max(l.maxFloat, v)
    }
  }
}

function foldTexts(l: Leaf, p: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    const length = load<i32>(p)
    const text = p + 4
    if (!l.hasStats) {
      l.hasStats = true
      keepMin(l, text, length)
      keepMax(l, text, length)
    } else if (compareText(text, length, l.minText, l.minLength) < 0) keepMin(l, text, length)
    else if (compareText(text, length, l.maxText, l.maxLength) > 0) keepMax(l, text, length)
    p = text + length
  }
}

function keepMin(l: Leaf, text: usize, length: i32): void {
  l.minLength = length
  memory.copy(l.minText, text, min(length, BOUND_BYTES))
}

function keepMax(l: Leaf, text: usize, length: i32): void {
  l.maxLength = length
  memory.copy(l.maxText, text, min(length, BOUND_BYTES))
}

/** Bytewise order of the first BOUND_BYTES. Equal so far but longer counts as greater. */
@inline function compareText(a: usize, aLength: i32, b: usize, bLength: i32): i32 {
  if (aLength >= 8 && bLength >= 8) {
    const x = bswap<u64>(load<u64>(a))
    const y = bswap<u64>(load<u64>(b))
    if (x != y) return x < y ? -1 : 1
  }
  const common = min(min(aLength, bLength), BOUND_BYTES)
  const order = memory.compare(a, b, common)
  return order ? order : aLength - bLength
}

/** Decimals of more than 18 digits, as pairs of a signed high and an unsigned low word. */
function foldWide(l: Leaf, p: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    let high: i64 = <i64>load<i8>(p) >> 7
    let low: u64 = <u64>high
    for (let b = 0; b < l.width; b++) {
      high = (high << 8) | <i64>(low >> 56)
      low = (low << 8) | load<u8>(p + b)
    }
    if (!l.hasStats || high < l.minHigh || (high == l.minHigh && low < <u64>l.minInt)) {
      l.minHigh = high
      l.minInt = <i64>low
    }
    if (!l.hasStats || high > l.maxHigh || (high == l.maxHigh && low > <u64>l.maxInt)) {
      l.maxHigh = high
      l.maxInt = <i64>low
    }
    l.hasStats = true
    p += l.width
  }
}
