import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { encodeBinary, type IngestFrame } from '../../shared/push/frames.ts'
import { CLICKS } from './push.ts'
import { bombs, damage, damaged, lines, mostly } from './push-faults.ts'

/** What a producer sends on one connection, one message after the other. */
export interface Conversation {
  messages: readonly (string | Uint8Array)[]
  /** The durable buffer refuses this one of the batches. */
  refuse: number | undefined
}

const open = JSON.stringify({ type: 'open', v: 1, table: CLICKS })

const ingest = fc.record({
  kind: fc.constant('ingest' as const),
  rows: fc.array(fc.nat(lines.length - 1), { minLength: 1, maxLength: 6 }),
  encoding: fc.constantFrom('none' as const, 'gzip' as const, 'zstd' as const),
  binary: fc.boolean(),
  skew: mostly(0, -3, -1, 1, 1000, 2 ** 53),
  miscount: mostly(0, -1, 1, 999_999, 2 ** 40),
  schemaVersion: mostly<number | undefined>(undefined, 1, 2, 99),
  blank: mostly('', '\n', ' \n', '\r\n'),
  damage,
})
const step = fc.oneof(
  { weight: 12, arbitrary: ingest },
  { weight: 1, arbitrary: fc.constant({ kind: 'again' as const }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      { kind: 'bomb' as const, encoding: 'gzip' as const },
      { kind: 'bomb' as const, encoding: 'zstd' as const },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('text' as const),
      text: fc.oneof(
        fc.constantFrom(open, '{"type":"ping"}', '{"type":"ping","id":-1}', '{"type":"close"}'),
        fc.string(),
        fc.json({ maxDepth: 2 }),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('bytes' as const), bytes: fc.uint8Array({ maxLength: 40 }) }) },
)

/** Mostly what an honest producer would send, with a fault here and there, so that faults are met in every state. */
export const conversations: fc.Arbitrary<Conversation> = fc
  .record({
    opens: mostly(true, false),
    openDamage: damage,
    steps: fc.array(step, { maxLength: 6 }),
    refuse: mostly<number | undefined>(undefined, 0, 1, 2),
  })
  .map(({ opens, openDamage, steps, refuse }) => {
    const messages: (string | Uint8Array)[] = opens ? [damaged(open, openDamage)] : []
    let next = 0
    for (const one of steps) {
      if (one.kind === 'text') messages.push(one.text)
      else if (one.kind === 'bytes') messages.push(one.bytes)
      else if (one.kind === 'again') messages.push(messages.at(-1) ?? open)
      else if (one.kind === 'bomb')
        messages.push(
          encodeBinary({ type: 'ingest', offset: next, count: 1, encoding: one.encoding }, bombs[one.encoding]),
        )
      else {
        messages.push(damaged(encode(one, next), one.damage))
        if (one.skew === 0 && one.miscount === 0 && !one.damage) next += one.rows.length
      }
    }
    return { messages, refuse }
  })

function encode(batch: typeof ingest extends fc.Arbitrary<infer T> ? T : never, next: number): string | Uint8Array {
  const text = batch.rows.map((row) => `${lines[row]![0]}\n`).join('') + batch.blank
  const raw = Buffer.from(text)
  const { encoding } = batch
  const rows = encoding === 'none' ? raw : encoding === 'gzip' ? gzipSync(raw, { level: 1 }) : zstdCompressSync(raw)
  const header: Omit<IngestFrame, 'rows'> = {
    type: 'ingest',
    offset: next + batch.skew,
    count: batch.rows.length + batch.miscount,
    encoding,
    ...(batch.schemaVersion === undefined ? {} : { schemaVersion: batch.schemaVersion }),
  }
  if (batch.binary) return encodeBinary(header, rows)
  return JSON.stringify({ ...header, rows: encoding === 'none' ? text : rows.toString('base64') })
}
