/** Bytes that hold 0 to 9 decimal digits. */
const digitBytes = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4]

/**
 * The server's form of DECIMAL(precision, scale): groups of nine digits in four bytes, the highest first; the first group
 * of the whole and the last of the fraction may be shorter. The sign is the highest bit, inverted; a negative number has
 * all other bits inverted. 1234567890.1234 is 81 0D FB 38 D2 04 D2.
 */
export function decimalReader(
  precision: number,
  scale: number,
): { length: number; text: (bytes: Buffer, at: number) => string } {
  const whole = precision - scale
  const full = (digits: number) => Array.from({ length: Math.floor(digits / 9) }, () => 9)
  const rest = (digits: number) => (digits % 9 === 0 ? [] : [digits % 9])
  const before = [...rest(whole), ...full(whole)]
  const after = [...full(scale), ...rest(scale)]
  const length = [...before, ...after].reduce((sum, digits) => sum + digitBytes[digits]!, 0)

  function text(bytes: Buffer, at: number): string {
    const negative = (bytes[at]! & 0x80) === 0
    let from = at
    const take = (digits: number): string => {
      let value = 0
      for (const end = from + digitBytes[digits]!; from < end; from++) {
        let byte = bytes[from]!
        if (from === at) byte ^= 0x80
        if (negative) byte ^= 0xff
        value = value * 256 + byte
      }
      return String(value).padStart(digits, '0')
    }
    let digits = ''
    for (const group of before) digits += take(group)
    let start = 0
    while (start < digits.length - 1 && digits.charCodeAt(start) === 48) start++
    let result = (negative ? '-' : '') + (digits === '' ? '0' : digits.slice(start))
    if (scale > 0) result += '.'
    for (const group of after) result += take(group)
    return result
  }
  return { length, text }
}
