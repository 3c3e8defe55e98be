import { IngestError } from '../core/errors.ts'

interface DynamoError {
  name: string
  message: string
  $metadata?: { httpStatusCode?: number; attempts?: number }
  /** Of a TransactionCanceledException: one for each item. */
  CancellationReasons?: { Code?: string }[]
}

/** An error of DynamoDB as one of ours, by its name. */
export function dynamoError(error: unknown, doing: string): IngestError {
  if (error instanceof IngestError) return error
  const { name, message } = error as DynamoError
  const said = `could not ${doing}: ${name}: ${message}`
  switch (name) {
    case 'ResourceNotFoundException':
      return new IngestError('storage.missing', said, { cause: error })
    case 'AccessDeniedException':
    case 'UnrecognizedClientException':
    case 'InvalidSignatureException':
    case 'ExpiredTokenException':
    case 'CredentialsProviderError':
      return new IngestError('storage.permission_denied', said, { cause: error })
    // What checkWrites let through: our mistake, and no retry helps.
    case 'ValidationException':
      return new IngestError('bug.invariant', said, { cause: error })
    default:
      return new IngestError('state.unavailable', said, { cause: error })
  }
}

const reasonsOf = (error: unknown) =>
  ((error as DynamoError).CancellationReasons ?? []).flatMap(({ Code }) => (Code && Code !== 'None' ? [Code] : []))

/** Whether the items were looked at and a condition did not hold. */
export const failedConditions = (error: unknown): boolean =>
  (error as DynamoError).name === 'ConditionalCheckFailedException' ||
  reasonsOf(error).includes('ConditionalCheckFailed')

/** Whether another write of the same items was under way, or the table asks to slow down: the same write may be tried again. */
export function isContention(error: unknown): boolean {
  const codes = [(error as DynamoError).name, ...reasonsOf(error)]
  return codes.some((code) =>
    /^(TransactionConflict|TransactionInProgress|ThrottlingError|ProvisionedThroughputExceeded)/.test(code),
  )
}

/** Whether the SDK sent the request more than once, so that an earlier try may have taken effect unheard. */
export const wasRetried = (error: unknown): boolean => ((error as DynamoError).$metadata?.attempts ?? 1) > 1
