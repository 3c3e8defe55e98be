import { nonDigits } from './numbers'

/** Readers of calendar text. They set `Moment.end` and say whether the text is a date or time at all. */
export abstract class Moment {
  /** Days since 1970-01-01, or microseconds since 1970-01-01T00:00:00 (UTC when a zone was given or implied). */
  static value: i64 = 0
  static end: usize = 0
  static hasZone: bool = false
  /** The text is well-formed but names no such day or time, or one outside the type. */
  static outOfRange: bool = false
}

const MICROS_PER_DAY: i64 = 86400000000
/** Days whose microseconds fit 64 bits. */
const DAY_LIMIT: i64 = 106751990

@inline function digit(p: usize): u32 {
  return <u32>load<u8>(p) - 0x30
}

/** Two digits, or a number over 99. */
@inline function two(p: usize): u32 {
  const a = digit(p)
  const b = digit(p + 1)
  return a > 9 || b > 9 ? 1000 : a * 10 + b
}

/** The days of January in the lowest four bits, less 28, and so on. */
const MONTH_DAYS: u64 = 0x3232332323030

function daysInMonth(year: i32, month: i32): i32 {
  if (month == 2) return (year & 3) == 0 && (year % 100 != 0 || (year & 15) == 0) ? 29 : 28
  return 28 + <i32>((MONTH_DAYS >> (<u64>month << 2)) & 15)
}

@inline function isDay(year: i32, month: i32, day: i32): bool {
  return month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month)
}

/** Days since 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms"). */
function daysFromCivil(y: i32, month: i32, day: i32): i32 {
  // 32-bit arithmetic throughout: a 64-bit division by a constant is a real division in the host, 80 ns a date.
  if (month <= 2) y--
  const era = (y >= 0 ? y : y - 399) / 400
  const yearOfEra = <u32>(y - era * 400)
  const dayOfYear = <u32>((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1)
  const dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
  return era * 146097 + <i32>dayOfEra - 719468
}

/** The date read last, as its ten characters, and its days: rows near each other tend to share it. */
let lastHead: u64 = 0
let lastTail: u16 = 0
let lastDays: i32 = 0

/** Reads `YYYY-MM-DD` at `p`: four to six digits of year, with an optional sign, and ` BC` when `era` is set. */
export function readDate(p: usize, end: usize, era: bool = false): bool {
  Moment.outOfRange = false
  const head = load<u64>(p)
  const tail = load<u16>(p + 8)
  const fits = end - p >= 10 && !era
  if (head == lastHead && tail == lastTail && fits) {
    Moment.value = lastDays
    Moment.end = p + 10
    return true
  }
  // All ten characters at once: they become their digits, and the dashes zeros.
  const x = head ^ 0x2d30302d30303030
  const t = <u32>tail ^ 0x3030
  if (fits && !nonDigits(x) && !(x & 0xff0000ff00000000) && !nonDigits(t)) {
    Moment.end = p + 10
    const pairs = x * 10 + (x >> 8)
    const year = <i32>(pairs & 0xff) * 100 + <i32>((pairs >> 16) & 0xff)
    const month = <i32>((pairs >> 40) & 0xff)
    const day = <i32>((t & 0xff) * 10 + (t >> 8))
    if (!isDay(year, month, day)) {
      Moment.outOfRange = true
      return true
    }
    lastHead = head
    lastTail = tail
    lastDays = daysFromCivil(year, month, day)
    Moment.value = lastDays
    return true
  }
  let negative = false
  const sign = load<u8>(p)
  if (sign == 0x2b || sign == 0x2d) {
    negative = sign == 0x2d
    p++
  }
  let year: i32 = 0
  const first = p
  while (digit(p) <= 9 && p - first < 7) year = year * 10 + <i32>digit(p++)
  if (p - first < 4 || p - first > 6 || load<u8>(p) != 0x2d || load<u8>(p + 3) != 0x2d) return false
  const month = <i32>two(p + 1)
  const day = <i32>two(p + 4)
  if (month > 99 || day > 99 || p + 6 > end) return false
  Moment.end = p + 6
  if (negative) year = -year
  if (era && end - p >= 9 && load<u8>(end - 1) == 0x43 && load<u8>(end - 2) == 0x42 && load<u8>(end - 3) == 0x20) {
    year = 1 - year
  }
  if (isDay(year, month, day)) Moment.value = daysFromCivil(year, month, day)
  else Moment.outOfRange = true
  return true
}

/**
 * Reads a date, then optionally `T` or a space and `HH:MM[:SS[.digits]]`, then optionally a zone: `Z`, `+HH`, `+HHMM`
 * or `+HH:MM[:SS]` (RFC 3339, ISO 8601, PostgreSQL). Digits behind the microsecond are dropped.
 */
export function readTimestamp(p: usize, end: usize, era: bool = false): bool {
  Moment.hasZone = false
  if (!readDate(p, end, era)) return false
  const days = Moment.value
  let bad = Moment.outOfRange
  p = Moment.end
  let micros: i64 = 0
  const t = load<u8>(p)
  // With an era, "0044-03-15 BC" has no time: what follows the space must be a digit.
  if (p < end && (t == 0x54 || t == 0x74 || (t == 0x20 && digit(p + 1) <= 9))) {
    let hour: u32 = 0
    let minute: u32 = 0
    let second: u32 = 0
    // HH:MM:SS, eight characters at once.
    const x = load<u64>(p + 1) ^ 0x30303a30303a3030
    const seconds = !nonDigits(x) && !(x & 0x0000ff0000ff0000)
    if (seconds) {
      const pairs = x * 10 + (x >> 8)
      hour = <u32>(pairs & 0xff)
      minute = <u32>((pairs >> 24) & 0xff)
      second = <u32>((pairs >> 48) & 0xff)
      p += 9
    } else {
      hour = two(p + 1)
      minute = two(p + 4)
      if (hour > 99 || minute > 99 || load<u8>(p + 3) != 0x3a) return false
      p += 6
      if (load<u8>(p) == 0x3a) return false
    }
    let fraction: u32 = 0
    if (seconds && load<u8>(p) == 0x2e) {
      let unit: u32 = 100000
      if (digit(++p) > 9) return false
      while (digit(p) <= 9) {
        fraction += digit(p++) * unit
        unit /= 10
      }
    }
    if (hour > 23 || minute > 59 || second > 59) bad = true
    micros = <i64>(hour * 3600 + minute * 60 + second) * 1000000 + <i64>fraction
    const zone = load<u8>(p)
    if (p < end && (zone == 0x5a || zone == 0x7a)) {
      Moment.hasZone = true
      p++
    } else if (p < end && (zone == 0x2b || zone == 0x2d)) {
      Moment.hasZone = true
      let seconds = <i64>two(p + 1)
      if (seconds > 99) return false
      if (seconds > 23) bad = true
      seconds *= 3600
      p += 3
      const colon = load<u8>(p) == 0x3a
      if (p < end && (colon || digit(p) <= 9)) {
        const m = two(colon ? p + 1 : p)
        if (m > 99) return false
        if (m > 59) bad = true
        seconds += m * 60
        p += colon ? 3 : 2
        if (colon && load<u8>(p) == 0x3a) {
          const s = two(p + 1)
          if (s > 59) return false
          seconds += s
          p += 3
        }
      }
      micros -= (zone == 0x2d ? -seconds : seconds) * 1000000
    }
  }
  if (days > DAY_LIMIT || days < -DAY_LIMIT) bad = true
  Moment.outOfRange = bad
  Moment.value = days * MICROS_PER_DAY + micros
  Moment.end = p
  return p <= end
}
