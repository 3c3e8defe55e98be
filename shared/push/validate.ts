import { createValidator, type Validator } from '../columnar/validate.ts'
import { IngestError } from '../core/errors.ts'
import { decompress } from './payload.ts'
import type { ValidateInput, Validation } from './receive.ts'
import { countRecords } from './records.ts'

/** A validator is a kernel instance with a memory of its own: the ones used last are kept. */
const validators = new Map<string, Validator>()
const MAX_VALIDATORS = 32

/** What checking needs but the body. */
export type Rules = Pick<ValidateInput, 'key' | 'schema' | 'options'>

/**
 * Checks a body on this thread.
 *
 * @throws IngestError `push.too_large`, `push.frame_invalid` (fix)
 */
export function validateRows({ body, encoding, limits, ...rules }: ValidateInput): Validation {
  return checkRows(rules, decompress(body, encoding, limits.batchBytes))
}

/** @throws IngestError `push.frame_invalid` (fix) */
export function checkRows({ key, schema, options }: Rules, rows: Uint8Array): Validation {
  const validator = validators.get(key) ?? createValidator(schema, options)
  // Out while it runs: one that throws is not used again.
  validators.delete(key)
  const { accepted, rejected } = validator(rows)
  validators.set(key, validator)
  if (validators.size > MAX_VALIDATORS) validators.delete(validators.keys().next().value!)
  const records = accepted + rejected.length
  // A record that was sent twice is later cut out by its line.
  if (countRecords(rows) !== records)
    throw new IngestError('push.frame_invalid', 'rows: write each record on one line, and one record a line')
  return { records, rejections: rejected }
}
