import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'

/** Lines for the table of `push.ts`, and whether they fit it, judged by a reader of the protocol and not by our code. */
export const lines: readonly (readonly [line: string, fits: boolean])[] = [
  ['{"id":"a","n":1}', true],
  ['{"n":-5,"id":"b"}', true],
  ['{"id":"\u00e4\ud83d\ude00"}', true],
  ['{"id":"c","n":null}', true],
  ['{"id":"9","n":9223372036854775807}', true],
  ['{"id":7}', false],
  ['{"id":null}', false],
  ['{"n":1}', false],
  ['{}', false],
  ['{"id":"x","n":"z"}', false],
  ['{"id":"x","n":1.5}', false],
  ['{"id":"x","n":99999999999999999999}', false],
  ['{"id":"x","n":{"m":1}}', false],
  ['{"id":"x","extra":1}', false],
  ['{"id":"x","n":true}', false],
  ['{"id":"x","n":1', false],
  ['{', false],
  ['nonsense', false],
  ['"x"', false],
  ['5', false],
]
export const verdicts = new Map(lines)

export const fuzzLimits = { messageBytes: 64 << 10, recordBytes: 4096, batchBytes: 128 << 10 }

/** What is done to a message on its way. */
export type Damage =
  | { how: 'flip' | 'cut' | 'insert'; at: number; byte: number }
  | { how: 'field'; key: string; value: unknown }
  | undefined

/** 4 MB of rows in a few kilobytes. */
export const bombs = {
  gzip: gzipSync(Buffer.alloc(4 << 20, '{"id":"a"}\n')),
  zstd: zstdCompressSync(Buffer.alloc(4 << 20, '{"id":"a"}\n')),
}
const keys = ['type', 'v', 'offset', 'count', 'encoding', 'rows', 'schemaVersion', 'table', 'session', 'durable', 'x']
const oddValue = fc.oneof(
  fc.constantFrom(null, -1, 0, 1, 1.5, 2 ** 31, 2 ** 53, 1e300, '', '0', 'gzip', 'zstd', true, [], {}, undefined),
  fc.string(),
  fc.jsonValue({ maxDepth: 2 }),
)
export const damage: fc.Arbitrary<Damage> = fc.oneof(
  { weight: 8, arbitrary: fc.constant(undefined) },
  {
    weight: 2,
    arbitrary: fc.record({
      how: fc.constantFrom('flip' as const, 'cut' as const, 'insert' as const),
      at: fc.nat(4000),
      byte: fc.nat(255),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ how: fc.constant('field' as const), key: fc.constantFrom(...keys), value: oddValue }),
  },
)
/** Nine times in ten the usual. */
export const mostly = <T>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(usual, ...others) })

export function damaged(message: string | Uint8Array, harm: Damage): string | Uint8Array {
  if (!harm) return message
  if (harm.how === 'field') {
    if (typeof message !== 'string') return message
    return JSON.stringify({ ...JSON.parse(message), [harm.key]: harm.value })
  }
  const bytes = Buffer.from(message)
  const at = harm.at % bytes.length
  if (harm.how === 'flip') bytes[at] = bytes[at]! ^ (harm.byte || 1)
  const result =
    harm.how === 'flip'
      ? bytes
      : harm.how === 'cut'
        ? bytes.subarray(0, at)
        : Buffer.concat([bytes.subarray(0, at), Buffer.from([harm.byte]), bytes.subarray(at)])
  return typeof message === 'string' ? result.toString('utf8') : result
}
