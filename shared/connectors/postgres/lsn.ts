/** A log sequence number as text of fixed width, so that comparing texts compares places: `00000016/B374D848`. */
export type Lsn = string

/** PostgreSQL writes `16/B374D848`. */
export function lsnOf(text: string): Lsn {
  const [high, low] = text.split('/') as [string, string]
  return `${high.padStart(8, '0')}/${low.padStart(8, '0')}`.toUpperCase()
}

export function lsnAt(bytes: Buffer, at: number): Lsn {
  const half = (offset: number) =>
    bytes
      .readUInt32BE(at + offset)
      .toString(16)
      .padStart(8, '0')
  return `${half(0)}/${half(4)}`.toUpperCase()
}
