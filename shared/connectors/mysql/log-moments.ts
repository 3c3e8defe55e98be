const two = (value: number) => (value < 10 ? `0${value}` : String(value))

/** `2024-00-10` and `0000-00-00` are no days: null. */
export function dayText(year: number, month: number, day: number): string | null {
  if (month === 0 || day === 0) return null
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`
}

/** As many digits as the column has, as in a query's answer. */
const fractionText = (micros: number, digits: number) =>
  digits === 0 ? '' : `.${String(micros).padStart(6, '0').slice(0, digits)}`

/** The day of the last instant: those of a log lie close together, and a Date costs more than the rest of a row. */
let [lastDay, lastDayText] = [-1, '']

/** Zero stands for `0000-00-00 00:00:00`. */
export function instantText(seconds: number, micros: number, digits: number): string | null {
  if (seconds === 0 && micros === 0) return null
  const day = Math.floor(seconds / 86_400)
  if (day !== lastDay) [lastDay, lastDayText] = [day, new Date(day * 86_400_000).toISOString().slice(0, 10)]
  const clock = seconds - day * 86_400
  const minutes = Math.floor(clock / 60)
  return `${lastDayText} ${two(Math.floor(minutes / 60))}:${two(minutes % 60)}:${two(clock % 60)}${fractionText(micros, digits)}`
}

/** Digits of a fraction are stored in pairs, the highest byte first. */
export function fraction(bytes: Buffer, at: number, digits: number): number {
  const length = (digits + 1) >> 1
  return length === 0 ? 0 : bytes.readUIntBE(at, length) * 10 ** (6 - 2 * length)
}

/** 40 bits: 1 sign, 17 year * 13 + month, 5 day, 5 hour, 6 minute, 6 second. */
export function momentText(bytes: Buffer, at: number, digits: number): string | null {
  const packed = bytes.readUIntBE(at, 5) - 0x80_0000_0000
  const days = Math.floor(packed / 0x2_0000)
  const time = packed % 0x2_0000
  const months = days >> 5
  const day = dayText(Math.floor(months / 13), months % 13, days & 31)
  if (day === null) return null
  return `${day} ${two(time >> 12)}:${two((time >> 6) & 63)}:${two(time & 63)}${fractionText(fraction(bytes, at + 5, digits), digits)}`
}

/** 24 bits: 1 sign, 1 unused, 10 hour, 6 minute, 6 second; with its fraction one number, negative as two's complement. */
export function timeText(bytes: Buffer, at: number, digits: number): string {
  const length = (digits + 1) >> 1
  const unit = 2 ** (8 * length)
  const packed = bytes.readUIntBE(at, 3 + length) - 0x80_0000 * unit
  const absolute = Math.abs(packed)
  const whole = Math.floor(absolute / unit)
  const micros = (absolute % unit) * 10 ** (6 - 2 * length)
  return `${packed < 0 ? '-' : ''}${two((whole >> 12) & 0x3ff)}:${two((whole >> 6) & 63)}:${two(whole & 63)}${fractionText(micros, digits)}`
}

/** As versions before 5.6 stored it: 20240131235959. */
export function oldMoment(packed: bigint): string | null {
  const digits = String(packed).padStart(14, '0')
  const part = (from: number, to: number) => Number(digits.slice(from, to))
  const day = dayText(part(0, 4), part(4, 6), part(6, 8))
  return day && `${day} ${digits.slice(8, 10)}:${digits.slice(10, 12)}:${digits.slice(12, 14)}`
}

export function oldTime(packed: number): string {
  const value = Math.abs(packed)
  return `${packed < 0 ? '-' : ''}${two(Math.floor(value / 10_000))}:${two(Math.floor(value / 100) % 100)}:${two(value % 100)}`
}
