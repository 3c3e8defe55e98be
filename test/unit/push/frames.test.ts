import { createHash } from 'node:crypto'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import * as z from 'zod'
import { IngestError } from '../../../shared/core/errors.ts'
import {
  clientFrames,
  decodeBinary,
  decodeText,
  encodeBinary,
  errorFrame,
  PROTOCOL_VERSION,
  serverFrames,
} from '../../../shared/push/frames.ts'

const runs = process.env.SOAK ? 1_000_000 : 2_000

/** A changed hash is a changed protocol: raise PROTOCOL_VERSION if old producers would break, and update docs/protocol.md. */
test('the schemas of all messages are those of version 1', () => {
  const schemas = [...Object.entries(clientFrames), ...Object.entries(serverFrames)].map(([name, schema]) => [
    name,
    z.toJSONSchema(schema),
  ])

  expect(PROTOCOL_VERSION).toBe(1)
  expect(createHash('sha256').update(JSON.stringify(schemas)).digest('hex').slice(0, 16)).toMatchInlineSnapshot(
    `"edaa1b2dfffcf3b9"`,
  )
})

test('an ingest frame carries its rows as text, as base64 or after a binary header', () => {
  const header = { type: 'ingest', offset: 7, count: 1, encoding: 'none' } as const
  const rows = Buffer.from('{"id":"\u00e4"}\n')

  expect(decodeText(JSON.stringify({ ...header, rows: rows.toString() }))).toEqual({ frame: header, body: rows })
  expect(decodeBinary(encodeBinary(header, rows))).toEqual({ frame: header, body: rows })
  const compressed = { ...header, encoding: 'gzip' } as const
  expect(decodeText(JSON.stringify({ ...compressed, rows: rows.toString('base64') })).body).toEqual(rows)
})

test('the rows of a binary frame are a view of it, not a copy', () => {
  const bytes = encodeBinary({ type: 'ingest', offset: 0, count: 1, encoding: 'none' }, Buffer.from('{}\n'))

  expect(decodeBinary(bytes).body!.buffer).toBe(bytes.buffer)
})

test.each([
  ['not JSON', '{'],
  ['no frame', '[]'],
  ['unknown type', '{"type":"insert"}'],
  ['unknown key', '{"type":"close","now":true}'],
  ['negative offset', '{"type":"ingest","offset":-1,"count":1,"encoding":"none","rows":"{}"}'],
  ['offset past 2^53', '{"type":"ingest","offset":9007199254740993,"count":1,"encoding":"none","rows":"{}"}'],
  ['records past 2^53', '{"type":"ingest","offset":9007199254740990,"count":2,"encoding":"none","rows":"{}"}'],
  ['no records', '{"type":"ingest","offset":0,"count":0,"encoding":"none","rows":""}'],
  ['huge count', '{"type":"ingest","offset":0,"count":1e15,"encoding":"none","rows":"{}"}'],
  ['rows missing', '{"type":"ingest","offset":0,"count":1,"encoding":"none"}'],
  ['not base64', '{"type":"ingest","offset":0,"count":1,"encoding":"zstd","rows":"@@@@"}'],
  ['cut base64', '{"type":"ingest","offset":0,"count":1,"encoding":"zstd","rows":"AAAAA"}'],
  ['a path for a table', '{"type":"open","v":1,"table":"main.events.../../x"}'],
  ['two-part table', '{"type":"open","v":1,"table":"events.clicks"}'],
])('a malformed text frame is refused with a code and a reason: %s', (_, text) => {
  expect(() => decodeText(text)).toThrow(expect.objectContaining({ code: 'push.frame_invalid', remedy: 'fix' }))
})

test.each([
  ['empty', Buffer.alloc(0)],
  ['header longer than the frame', Buffer.from([0, 0, 1, 0, 123])],
  ['header over the limit', Buffer.alloc(70_000, 0xff)],
  ['bytes after a frame without rows', Buffer.concat([Buffer.from([0, 0, 0, 16]), Buffer.from('{"type":"close"}x')])],
])('a malformed binary frame is refused: %s', (_, bytes) => {
  expect(() => decodeBinary(bytes)).toThrow(expect.objectContaining({ code: 'push.frame_invalid' }))
})

test('any bytes and any text give a frame or push.frame_invalid, nothing else', () => {
  const valid = [
    '{"type":"open","v":1,"table":"a.b.c"}',
    '{"type":"ingest","offset":0,"count":1,"encoding":"none","rows":"{}"}',
  ]
  const cut = fc
    .tuple(fc.constantFrom(...valid), fc.nat(80), fc.string())
    .map(([s, at, x]) => s.slice(0, at) + x + s.slice(at))
  const anything = fc.oneof(fc.string(), fc.json(), cut)

  fc.assert(
    fc.property(anything, fc.uint8Array({ maxLength: 60 }), (text, bytes) => {
      expectFrameOrRefusal(() => decodeText(text))
      expectFrameOrRefusal(() => decodeBinary(bytes))
      expectFrameOrRefusal(() =>
        decodeBinary(Buffer.concat([Buffer.from([0, 0, 0, text.length & 127]), Buffer.from(text)])),
      )
    }),
    { numRuns: runs },
  )
})

test('an error frame tells code, remedy, whether to try again, and where to begin', () => {
  const error = new IngestError('push.quota_exceeded', 'too fast', { retryAfterMs: 20.5 })

  expect(serverFrames.error.parse(errorFrame(error, 9))).toEqual({
    type: 'error',
    code: 'push.quota_exceeded',
    message: 'too fast',
    remedy: 'retry',
    retryable: true,
    retryAfterMs: 21,
    expected: 9,
  })
})

function expectFrameOrRefusal(decode: () => unknown) {
  try {
    decode()
  } catch (error) {
    if ((error as IngestError).code !== 'push.frame_invalid') throw error
  }
}
