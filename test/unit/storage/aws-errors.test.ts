import { expect, test } from '@jest/globals'
import { sqsError } from '../../../shared/queue/sqs-errors.ts'
import { dynamoError, failedConditions, isContention } from '../../../shared/state/dynamodb-errors.ts'
import { s3Error } from '../../../shared/storage/s3-errors.ts'

const native = (name: string, httpStatusCode = 400) =>
  Object.assign(new Error('told by AWS'), { name, $metadata: { httpStatusCode } })

test.each([
  [s3Error, native('AccessDenied', 403), 'storage.permission_denied'],
  [s3Error, native('SignatureDoesNotMatch', 403), 'storage.permission_denied'],
  [s3Error, native('CredentialsProviderError'), 'storage.permission_denied'],
  [s3Error, native('NoSuchBucket', 404), 'storage.missing'],
  [s3Error, native('PermanentRedirect', 301), 'storage.missing'],
  [s3Error, native('KeyTooLongError'), 'storage.path_invalid'],
  [s3Error, native('SlowDown', 503), 'storage.unavailable'],
  [s3Error, native('TimeoutError'), 'storage.unavailable'],
  [dynamoError, native('ResourceNotFoundException'), 'storage.missing'],
  [dynamoError, native('AccessDeniedException'), 'storage.permission_denied'],
  [dynamoError, native('ValidationException'), 'bug.invariant'],
  [dynamoError, native('ProvisionedThroughputExceededException'), 'state.unavailable'],
  [sqsError, native('QueueDoesNotExist'), 'storage.missing'],
  [sqsError, native('KmsAccessDenied'), 'storage.permission_denied'],
  [sqsError, native('OverLimit', 403), 'queue.unavailable'],
  [sqsError, native('InternalError', 500), 'queue.unavailable'],
])('%p translates %p to %s', (translate, error, code) => {
  expect(translate(error, 'do it')).toMatchObject({ code, cause: error })
  expect(translate(error, 'do it').message).toBe(`could not do it: ${error.name}: told by AWS`)
})

test('a cancelled transaction is a failed condition, contention, or neither, by its reasons', () => {
  const cancelled = (...codes: string[]) =>
    Object.assign(native('TransactionCanceledException'), { CancellationReasons: codes.map((Code) => ({ Code })) })

  expect(failedConditions(cancelled('None', 'ConditionalCheckFailed'))).toBe(true)
  expect(failedConditions(cancelled('TransactionConflict', 'None'))).toBe(false)
  expect(isContention(cancelled('TransactionConflict', 'None'))).toBe(true)
  expect(isContention(cancelled('ValidationError'))).toBe(false)
  expect(isContention(native('TransactionInProgressException'))).toBe(true)
})
