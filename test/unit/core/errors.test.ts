import { expect, test } from '@jest/globals'
import { asIngestError, errorCodes, IngestError } from '../../../shared/core/errors.ts'

test('an error carries its code, its remedy and its cause', () => {
  const cause = new Error('native')

  const error = new IngestError('source.throttled', 'slow down', { cause, retryAfterMs: 500 })

  expect(error).toMatchObject({ code: 'source.throttled', remedy: 'retry', retryAfterMs: 500, cause })
})

test('what the edges failed to translate becomes bug.invariant and keeps the cause', () => {
  const native = new TypeError('x is not a function')

  expect(asIngestError(native)).toMatchObject({ code: 'bug.invariant', remedy: 'report', cause: native })
})

test.each(Object.keys(errorCodes))('%s is a family and readable words', (code) => {
  expect(code).toMatch(/^[a-z]+\.[a-z]+(_[a-z]+)*$/)
})
