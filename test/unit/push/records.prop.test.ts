import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createBatchWriter } from '../../../shared/columnar/batch-writer.ts'
import { createValidator } from '../../../shared/columnar/validate.ts'
import { surveyRecords } from '../../../shared/push/records.ts'
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
