import { multiply, Num, Wide } from './numbers'

/** The same number by the host's exact reader, for the few that the fast paths cannot decide. */
@external("host", "parseDouble") declare function parseDouble(start: usize, length: i32): f64
/** Fills the table below: the host has integers without limit. */
@external("host", "powersOfFive") declare function powersOfFive(to: usize): void

const SMALLEST = -342
const LARGEST = 308
/** The leading 128 bits of 5^q, high word first, for q from SMALLEST to LARGEST; rounded down, and up below zero. */
const powers: usize = memory.data(16 * 651, 16)
let ready: bool = false
/** 10^0 to 10^22: the powers that a double holds exactly. */
const exactPowers: usize = memory.data(8 * 23, 8)

export function initDoubles(): void {
  let power: f64 = 1
  for (let i = 0; i < 23; i++) {
    store<f64>(exactPowers + 8 * i, power)
    power *= 10
  }
}

/** The double nearest to the last number read, ties to even; infinite when out of range. */
export function numberAsDouble(): f64 {
  const m = Num.mantissa
  const q = Num.exponent
  // Clinger: both operands are exact, so one correctly rounded operation gives the nearest double.
  if (m <= 9007199254740992 && q >= -22 && q <= 22 && !Num.truncated) {
    const f = <f64>m
    const d = q < 0 ? f / load<f64>(exactPowers + 8 * -q) : f * load<f64>(exactPowers + 8 * q)
    return Num.negative ? -d : d
  }
  if (!ready) {
    powersOfFive(powers)
    ready = true
  }
  const bits = eiselLemire(m, q)
  if (bits >= 0 && (!Num.truncated || bits == eiselLemire(m + 1, q))) {
    return reinterpret<f64>(Num.negative ? bits | i64.MIN_VALUE : bits)
  }
  return parseDouble(Num.start, <i32>(Num.end - Num.start))
}

/**
 * The bits of the double nearest to w * 10^q, or -1 when 128 bits of 5^q do not decide (D. Lemire, "Number parsing at
 * a gigabyte per second", 2021, algorithm 1).
 */
function eiselLemire(w: u64, q: i32): i64 {
  if (w == 0 || q < SMALLEST) return 0
  if (q > LARGEST) return 0x7ff0000000000000
  const shift = <i32>clz(w)
  const normal = w << shift
  const entry = powers + 16 * (q - SMALLEST)
  multiply(normal, load<u64>(entry))
  let low = Wide.low
  let high = Wide.high
  if ((high & 0x1ff) == 0x1ff) {
    multiply(normal, load<u64>(entry, 8))
    const sum = low + Wide.high
    if (sum < low) high++
    low = sum
  }
  if (low == u64.MAX_VALUE && (q < -27 || q > 55)) return -1
  const top = <i32>(high >> 63)
  let m = high >> (top + 9)
  // floor(q * log2(10)) + 63, exact for these q.
  let exponent = (((152170 + 65536) * q) >> 16) + 63 + top - shift + 1023
  if (exponent <= 0) {
    if (exponent <= -63) return 0
    m >>= -exponent + 1
    m = (m + (m & 1)) >> 1
    return <i64>m
  }
  // Halfway between two doubles, exactly: to even, not up.
  if (low <= 1 && q >= -4 && q <= 23 && (m & 3) == 1 && m << (top + 9) == high) m &= ~1
  m = (m + (m & 1)) >> 1
  if (m >= 1 << 53) {
    m = 1 << 52
    exponent++
  }
  if (exponent >= 0x7ff) return 0x7ff0000000000000
  return <i64>((m & 0x000fffffffffffff) | (<u64>exponent << 52))
}
