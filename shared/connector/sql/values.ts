import { invariant } from '../../core/errors.ts'
import type { LogicalType } from '../../schema/types.ts'

/**
 * The JavaScript value of the server's text of one value (docs/adding-a-connector.md, "Values"): long as bigint, decimal, date,
 * timestamp and variant as text, binary as bytes. `text` is what COPY shows, after its escapes.
 */
export function fromText(text: string, type: LogicalType): unknown {
  switch (type.kind) {
    case 'boolean':
      return text === 't' || text === 'true' || text === '1'
    case 'byte':
    case 'short':
    case 'integer':
      return Number(text)
    case 'long':
      return BigInt(text)
    case 'float':
    case 'double':
      return Number(text)
    case 'binary':
      invariant(text.startsWith('\\x'), 'binary values are read as hexadecimal')
      return Buffer.from(text.slice(2), 'hex')
    case 'array':
    case 'map':
    case 'struct':
      return JSON.parse(text)
    default:
      return text
  }
}
