import { IngestError } from '../../core/errors.ts'

/** The server's names of character sets, and the ones of the Encoding Standard for the same bytes. */
const labels: Record<string, string> = {
  latin1: 'windows-1252',
  latin2: 'iso-8859-2',
  latin5: 'iso-8859-9',
  latin7: 'iso-8859-13',
  greek: 'iso-8859-7',
  hebrew: 'iso-8859-8',
  cp1250: 'windows-1250',
  cp1251: 'windows-1251',
  cp1256: 'windows-1256',
  cp1257: 'windows-1257',
  cp866: 'ibm866',
  koi8r: 'koi8-r',
  koi8u: 'koi8-u',
  macroman: 'macintosh',
  tis620: 'windows-874',
  gb2312: 'gbk',
  gbk: 'gbk',
  gb18030: 'gb18030',
  big5: 'big5',
  sjis: 'shift_jis',
  cp932: 'shift_jis',
  ujis: 'euc-jp',
  eucjpms: 'euc-jp',
  euckr: 'euc-kr',
  ucs2: 'utf-16be',
  utf16: 'utf-16be',
  utf16le: 'utf-16le',
}

export type DecodeText = (bytes: Buffer, at: number, end: number) => string

/**
 * How texts of a character set are read from the log, which holds them as they are stored.
 *
 * @throws IngestError `config.invalid` (fix) for a character set that is not known
 */
export function textDecoder(charset: string, column: string): DecodeText {
  if (charset === 'utf8mb4' || charset === 'utf8mb3' || charset === 'utf8' || charset === 'ascii')
    return (bytes, at, end) => bytes.toString('utf8', at, end)
  if (charset === 'utf32') return utf32
  const label = labels[charset]
  if (!label)
    throw new IngestError(
      'config.invalid',
      `the column ${column} has the character set ${charset}, which is not read from the log: convert it, leave it out, or read the table by query or snapshot`,
    )
  const decoder = new TextDecoder(label)
  const decode: DecodeText = (bytes, at, end) => decoder.decode(bytes.subarray(at, end))
  return charset === 'latin1' ? (bytes, at, end) => latin1(bytes, at, end) ?? decode(bytes, at, end) : decode
}

/** Bytes 80 to 9F are where the server's latin1 is not Node's; undefined when there is one. */
function latin1(bytes: Buffer, at: number, end: number): string | undefined {
  for (let from = at; from < end; from++) if (bytes[from]! >= 0x80 && bytes[from]! < 0xa0) return undefined
  return bytes.toString('latin1', at, end)
}

function utf32(bytes: Buffer, at: number, end: number): string {
  let text = ''
  for (let from = at; from + 4 <= end; from += 4) text += String.fromCodePoint(bytes.readUInt32BE(from))
  return text
}
