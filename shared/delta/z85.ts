import { IngestError } from '../core/errors.ts'

const digits = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'
const values = new Map([...digits].map((digit, value) => [digit, value]))

/** Base85 of ZeroMQ, which Delta writes binary data in JSON with: five digits for four bytes. Bytes are padded with zeros. */
export function encodeZ85(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 4) {
    let word = 0
    for (let index = 0; index < 4; index++) word = word * 256 + (bytes[at + index] ?? 0)
    let group = ''
    for (let index = 0; index < 5; index++) {
      group = digits[word % 85] + group
      word = Math.floor(word / 85)
    }
    text += group
  }
  return text
}

/** @throws IngestError `table.corrupt` (fix) */
export function decodeZ85(text: string): Uint8Array {
  if (text.length % 5 !== 0) throw corrupt()
  const bytes = new Uint8Array((text.length / 5) * 4)
  for (let at = 0; at < text.length; at += 5) {
    let word = 0
    for (const digit of text.slice(at, at + 5)) {
      const value = values.get(digit)
      if (value === undefined) throw corrupt()
      word = word * 85 + value
    }
    if (word > 0xffffffff) throw corrupt()
    new DataView(bytes.buffer).setUint32((at / 5) * 4, word)
  }
  return bytes
}

const corrupt = () =>
  new IngestError('table.corrupt', 'a deletion vector in the log is not Z85 text; restore the log file')
