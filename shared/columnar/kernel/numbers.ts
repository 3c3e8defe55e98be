import { State } from './state'

/** The last number read: (-1)^negative * mantissa * 10^exponent, exact unless `truncated`. */
export abstract class Num {
  static negative: bool = false
  /** The first 19 significant digits. */
  static mantissa: u64 = 0
  static digits: i32 = 0
  static exponent: i32 = 0
  /** The exponent as written behind the `e`. */
  static power: i32 = 0
  /** Digits other than zero were left out of the mantissa. */
  static truncated: bool = false
  static start: usize = 0
  static end: usize = 0
}

/** Unsigned 128-bit result of `multiply` and the decimal reader. */
export abstract class Wide {
  static low: u64 = 0
  static high: u64 = 0
}

@inline export function multiply(a: u64, b: u64): void {
  const al = a & 0xffffffff
  const ah = a >> 32
  const bl = b & 0xffffffff
  const bh = b >> 32
  const ll = al * bl
  const middle = ah * bl + (ll >> 32)
  const other = al * bh + (middle & 0xffffffff)
  Wide.low = (other << 32) | (ll & 0xffffffff)
  Wide.high = ah * bh + (middle >> 32) + (other >> 32)
}

const ZEROS: u64 = 0x3030303030303030

/** The high half of every byte that is no digit is set; `x` is eight bytes of text without their 0x30. */
@inline export function nonDigits(x: u64): u64 {
  return ((x + 0x0606060606060606) | x) & 0xf0f0f0f0f0f0f0f0
}

/** The value of eight digits, the first in the lowest byte (W. Mula, "SWAR number parsing"). */
@inline function valueOfEight(x: u64): u64 {
  x = x * 10 + (x >> 8)
  return ((x & 0x000000ff000000ff) * 0x000f424000000064 + ((x >> 16) & 0x000000ff000000ff) * 0x0000271000000001) >> 32
}

/** The digits from `Num.end` on, folded into `m`; `Num.end` is then behind them. Wraps beyond 19 digits. */
@inline function readDigits(m: u64): u64 {
  let p = Num.end
  while (true) {
    const x = load<u64>(p) ^ ZEROS
    const stop = nonDigits(x)
    if (stop) {
      const n = <i32>(ctz(stop) >> 3)
      // Digits move to the upper bytes: the zeros below count as leading ones.
      if (n) m = m * powerOfTen(n) + valueOfEight(x << (64 - (n << 3)))
      Num.end = p + n
      return m
    }
    m = m * 100000000 + valueOfEight(x)
    p += 8
  }
}

@inline function setShort(mantissa: u64, digits: i32, exponent: i32, end: usize): void {
  Num.mantissa = mantissa
  Num.digits = digits
  Num.exponent = exponent
  Num.power = 0
  Num.truncated = false
  Num.end = end
}

/**
 * The grammar of a number, chosen at compile time: `Strict` is JSON's (RFC 8259, "Numbers"); `Lax` also takes a plus
 * sign, leading zeros and a missing digit on one side of the point, as databases and spreadsheets write them.
 */
export type Strict = u32
export type Lax = i32

/** Reads the number at `p` into `Num`. False when there is none; `Num.end` is then where the grammar broke. */
export function readNumber<G>(p: usize): bool {
  const lax = isSigned<G>()
  Num.start = p
  Num.negative = false
  let c = <u32>load<u8>(p)
  if (c == 0x2d) {
    Num.negative = true
    c = load<u8>(++p)
  } else if (lax && c == 0x2b) c = load<u8>(++p)
  const first = p
  // Most numbers have up to seven digits, and up to seven more behind a point.
  const head = load<u64>(p) ^ ZEROS
  const headStop = nonDigits(head)
  if (headStop) {
    const n = <i32>(ctz(headStop) >> 3)
    const q = p + n
    const after = <i32>load<u8>(q)
    const whole = lax ? n > 0 : n == 1 || (n > 1 && c != 0x30)
    if (whole && after == 0x2e) {
      const tail = load<u64>(q + 1) ^ ZEROS
      const tailStop = nonDigits(tail)
      if (tailStop && !(tailStop & 0xf0)) {
        const k = <i32>(ctz(tailStop) >> 3)
        const last = q + 1 + k
        if ((load<u8>(last) | 0x20) != 0x65) {
          const m = valueOfEight(head << (64 - (n << 3))) * powerOfTen(k) + valueOfEight(tail << (64 - (k << 3)))
          setShort(m, n + k, -k, last)
          return true
        }
      }
    } else if (whole && (after | 0x20) != 0x65) {
      setShort(valueOfEight(head << (64 - (n << 3))), n, 0, q)
      return true
    }
  }
  Num.end = p
  let m = readDigits(0)
  p = Num.end
  let digits = <i32>(p - first)
  if (!lax && (digits == 0 || (c == 0x30 && digits > 1))) {
    Num.end = digits == 0 ? p : first + 1
    return false
  }
  let exponent = 0
  if (load<u8>(p) == 0x2e) {
    const point = ++p
    Num.end = p
    m = readDigits(m)
    p = Num.end
    exponent = <i32>(point - p)
    digits -= exponent
    if (exponent == 0 && !lax) return false
  }
  if (lax && digits == 0) return false
  const mantissaEnd = p
  let power = 0
  if ((load<u8>(p) | 0x20) == 0x65) {
    p++
    const sign = load<u8>(p)
    if (sign == 0x2d || sign == 0x2b) p++
    let d = <u32>load<u8>(p) - 0x30
    if (d > 9) {
      Num.end = p
      return false
    }
    while (d <= 9) {
      // Far beyond every type; keeps the sum below from overflowing.
      if (power < 100000000) power = power * 10 + <i32>d
      d = <u32>load<u8>(++p) - 0x30
    }
    if (sign == 0x2d) power = -power
  }
  Num.end = p
  Num.mantissa = m
  Num.digits = digits
  Num.power = power
  Num.exponent = exponent + power
  Num.truncated = false
  if (digits > 19) readLongMantissa(first, mantissaEnd, power)
  return true
}

/** The mantissa again, for more than 19 digits: leading zeros do not count, what follows the 19th is left out. */
function readLongMantissa(p: usize, end: usize, power: i32): void {
  let m: u64 = 0
  let digits = 0
  let exponent = power
  let afterPoint = false
  Num.truncated = false
  for (; p < end; p++) {
    const c = load<u8>(p)
    if (c == 0x2e) {
      afterPoint = true
      continue
    }
    if (digits == 0 && c == 0x30) {
      if (afterPoint) exponent--
      continue
    }
    if (digits < 19) {
      m = m * 10 + (c - 0x30)
      digits++
      if (afterPoint) exponent--
    } else {
      if (c != 0x30) Num.truncated = true
      if (!afterPoint) exponent++
    }
  }
  Num.mantissa = m
  Num.digits = digits
  Num.exponent = exponent
}

export const FITS: i32 = 0
export const TOO_BIG: i32 = 1
export const HAS_FRACTION: i32 = 2

const powersOfTen: usize = memory.data(8 * 20)

export function initNumbers(): void {
  let power: u64 = 1
  for (let i = 0; i < 20; i++) {
    store<u64>(powersOfTen + 8 * i, power)
    power *= 10
  }
}

@inline export function powerOfTen(n: i32): u64 {
  return load<u64>(powersOfTen + (<usize>n << 3))
}

/**
 * The last number times 10^scale as an integer of at most `precision` digits, its magnitude in `Wide`. With `cut`,
 * digits behind the scale are dropped; otherwise they must be zero.
 */
export function scaledInteger(scale: i32, precision: i32, cut: bool = false): i32 {
  const shift = Num.exponent + scale
  if (!Num.truncated && shift >= 0 && Num.digits + shift <= 19 && Num.digits + shift <= precision) {
    Wide.high = 0
    Wide.low = Num.mantissa * powerOfTen(shift)
    return FITS
  }
  return scaledIntegerExact(scale, precision, cut)
}

function scaledIntegerExact(scale: i32, precision: i32, cut: bool): i32 {
  let p = Num.start
  // Digits of the text that belong to the result: those before the point, which scale and exponent move.
  let left = scale + Num.power
  for (let q = p; q < Num.end && load<u8>(q) != 0x2e && (load<u8>(q) | 0x20) != 0x65; q++) {
    if (<u32>load<u8>(q) - 0x30 <= 9) left++
  }
  let high: u64 = 0
  let low: u64 = 0
  let significant = 0
  let lost = false
  for (; p < Num.end && (load<u8>(p) | 0x20) != 0x65; p++) {
    const d = <u32>load<u8>(p) - 0x30
    if (d > 9) continue
    if (left-- <= 0) {
      if (d) lost = true
    } else if (significant || d) {
      if (++significant > precision) return TOO_BIG
      timesTenPlus(high, low, d)
      high = Wide.high
      low = Wide.low
    }
  }
  if (significant) {
    if (left > 0 && significant + left > precision) return TOO_BIG
    for (; left > 0; left--) {
      timesTenPlus(high, low, 0)
      high = Wide.high
      low = Wide.low
    }
  }
  Wide.high = high
  Wide.low = low
  return lost && !cut ? HAS_FRACTION : FITS
}

function timesTenPlus(high: u64, low: u64, digit: u32): void {
  multiply(low, 10)
  const h = Wide.high + high * 10
  const l = Wide.low + digit
  Wide.high = h + <u64>(l < Wide.low)
  Wide.low = l
}
