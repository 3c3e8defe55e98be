import { invariant } from '../../core/errors.ts'
import { isEnd, queryCommand, requireNoError, type Wire } from './wire.ts'

/**
 * How the server's bytes of a value become a cell of COPY text (docs/connectors.md, "Values"). `plain`: digits and the
 * like, nothing to escape. `moment`: a date or time whose month or day is zero is NULL. `geometry`: well-known binary
 * behind four bytes of SRID.
 */
export type Cell = 'text' | 'plain' | 'binary' | 'moment' | 'geometry'

const hex = Buffer.from('0123456789abcdef')
/** What stands behind the backslash, by byte. */
const escapes: Record<number, number> = { 8: 98, 9: 116, 10: 110, 11: 118, 12: 102, 13: 114, 92: 92 }
const escaped = Uint8Array.from({ length: 256 }, (_, byte) => escapes[byte] ?? 0)

/**
 * The rows of one query as COPY text, one block per chunk of the socket: no object is made per row or value. Protocol:
 * MySQL Internals, "Text Resultset". The wire can be used again when the rows have ended.
 *
 * @throws ServerError
 */
export async function* copyRows(
  wire: Wire,
  sql: string,
  cells: readonly Cell[],
): AsyncGenerator<Uint8Array, void, undefined> {
  wire.send(queryCommand(sql))
  /** Column definitions still to come; the packet behind them is an end too. */
  let heading = -1
  for await (const packets of wire.packets()) {
    let size = 0
    for (const packet of packets) size += packet.length
    // At worst every byte is escaped, a byte is two digits of hexadecimal, and a NULL of one byte is two.
    const out = Buffer.allocUnsafe(size * 2 + packets.length * (cells.length * 3 + 1))
    let end = 0
    let done = false
    for (const packet of packets) {
      if (heading < 0) {
        requireNoError(packet)
        const columns = packet[0] === 252 ? packet.readUInt16LE(1) : packet[0]
        invariant(columns === cells.length, `the query has ${columns} columns, ${cells.length} were expected`)
        heading = cells.length + 1
      } else if (heading > 0) heading--
      else if (isEnd(packet)) done = true
      else {
        if (packet[0] === 0xff) requireNoError(packet)
        end = copyRow(packet, cells, out, end)
      }
    }
    if (end > 0) yield out.subarray(0, end)
    if (done) return
  }
}

function copyRow(packet: Buffer, cells: readonly Cell[], out: Buffer, start: number): number {
  let at = 0
  let o = start
  for (let index = 0; index < cells.length; index++) {
    if (index > 0) out[o++] = 9
    let length = packet[at++]!
    if (length === 251) {
      out[o++] = 92
      out[o++] = 78
      continue
    }
    // Lengths from 251 on stand in 2, 3 or 8 bytes behind their mark.
    if (length === 252) {
      length = packet.readUInt16LE(at)
      at += 2
    } else if (length === 253) {
      length = packet.readUIntLE(at, 3)
      at += 3
    } else if (length === 254) {
      length = packet.readUIntLE(at, 6)
      at += 8
    }
    const end = at + length
    switch (cells[index]) {
      case 'text':
        for (; at < end; at++) {
          const byte = packet[at]!
          const letter = escaped[byte]!
          if (letter !== 0) {
            out[o++] = 92
            out[o++] = letter
          } else out[o++] = byte
        }
        break
      case 'moment':
        // 2024-00-10 and 0000-00-00 are no days.
        if ((packet[at + 5] === 48 && packet[at + 6] === 48) || (packet[at + 8] === 48 && packet[at + 9] === 48)) {
          out[o++] = 92
          out[o++] = 78
          break
        }
        while (at < end) out[o++] = packet[at++]!
        break
      case 'plain':
        while (at < end) out[o++] = packet[at++]!
        break
      default:
        if (cells[index] === 'geometry') at += 4
        out[o++] = 92
        out[o++] = 92
        out[o++] = 120
        for (; at < end; at++) {
          out[o++] = hex[packet[at]! >> 4]!
          out[o++] = hex[packet[at]! & 15]!
        }
    }
    at = end
  }
  out[o++] = 10
  return o
}
