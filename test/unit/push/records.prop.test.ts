import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createBatchWriter } from '../../../shared/columnar/parquet-writer.ts'
import { createValidator } from '../../../shared/columnar/validate.ts'
import { arrayToLines, countRecords, inPieces, keepRecords, surveyRecords } from '../../../shared/push/records.ts'
import { column } from '../../support/delta.ts'

const schema = { fields: [column('a', 'long'), column('s', 'string')] }
const runs = process.env.SOAK ? 100_000 : 1000

const piece = fc.constantFrom(
  ...[
    '{"a":1}',
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    ',',
    ':',
    ' ',
    '\t',
    '\r',
    '\n',
    '\n',
    '\n',
    '{"s":"x"}',
    '{"a":"',
    '\0',
    'é',
  ],
)
const text = fc.array(piece, { maxLength: 30 }).map((pieces) => Buffer.from(pieces.join('')))

test('plain lines are one record each, and a file takes of them exactly what the check before the ack accepts', () => {
  const validate = createValidator(schema, { unknownFields: 'reject', reject: 'row' })
  const writer = createBatchWriter(schema, { unknownFields: 'reject', reject: 'row' })
  let position = 0
  fc.assert(
    fc.property(text, (rows) => {
      const { records, plain } = surveyRecords(rows)
      const checked = validate(rows)
      const before = writer.rows
      writer.append(rows, true)
      const rejected = writer.takeRejected()

      expect(writer.rows - before).toBe(checked.accepted)
      expect(rejected.map(({ record }) => record - position)).toEqual(checked.rejected.map(({ record }) => record))
      const found = checked.accepted + checked.rejected.length
      if (plain) expect(found).toBe(records)
      position += found
    }),
    { numRuns: runs },
  )
})

test('pieces of rows are whole records with their places, and together all of them', () => {
  const lines = fc.array(fc.constantFrom('{"a":1}', '{"s":"xyz"}', '', ' '), { maxLength: 20 })
  fc.assert(
    fc.property(lines, fc.integer({ min: 1, max: 40 }), (parts, maxBytes) => {
      const rows = Buffer.from(parts.join('\n'))
      const pieces = [...inPieces(rows, maxBytes)]

      expect(Buffer.concat(pieces.map((piece) => piece.rows))).toEqual(rows)
      let records = 0
      for (const { first, rows } of pieces) {
        expect(first).toBe(records)
        expect(rows.length).toBeLessThanOrEqual(maxBytes + 12)
        records += countRecords(rows)
      }
      expect(records).toBe(countRecords(rows))
    }),
  )
})

test('a batch of which every other record is kept is cut in one pass', () => {
  const count = 400_000
  const rows = Buffer.from(Array.from({ length: count }, (_, n) => `${n}\n`).join(''))
  const every = Array.from({ length: count / 2 }, (_, i) => [2 * i, 2 * i + 1] as const)

  const kept = keepRecords(rows, every)

  expect(countRecords(kept)).toBe(count / 2)
  expect(kept.toString().startsWith('0\n2\n4\n')).toBe(true)
})

test('the elements of an array stand one on a line, and mean what they meant', () => {
  const spaces = fc.constantFrom('', ' ', '\n', '\t', '\r\n  ')
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 3 }), { maxLength: 6 }), spaces, (values, space) => {
      const parts = values.map(
        (value) => `${space}${JSON.stringify(value, undefined, space.trim() === '' ? 2 : 0)}${space}`,
      )

      const rows = arrayToLines(Buffer.from(`${space}[${parts.join(',')}${space}]${space}`)).toString()

      expect(
        rows
          .split('\n')
          .filter((line) => line.trim() !== '')
          .map((line) => JSON.parse(line)),
      ).toEqual(JSON.parse(`[${parts.join(',')}]`))
    }),
  )
})

test.each(['[1,]', '[,1]', '[1,,2]', '[', '[1', '[1]]', '[1] 2', '["a\nb"]', '{}', ''])('%j is no array', (text) => {
  expect(() => arrayToLines(Buffer.from(text))).toThrow('neither a JSON array')
})

test('what is no JSON does not become some', () => {
  expect(arrayToLines(Buffer.from('[{"a":1 2},tr ue]')).toString()).toBe('{"a":1 2}\ntr ue')
})
