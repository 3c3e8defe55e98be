import { IngestError } from '../core/errors.ts'

/** An error of SQS as one of ours, by its name. */
export function sqsError(error: unknown, doing: string): IngestError {
  if (error instanceof IngestError) return error
  const { name, message } = error as Error
  const said = `could not ${doing}: ${name}: ${message}`
  switch (name) {
    case 'QueueDoesNotExist':
    case 'AWS.SimpleQueueService.NonExistentQueue':
      return new IngestError('storage.missing', said, { cause: error })
    case 'AccessDenied':
    case 'AccessDeniedException':
    case 'InvalidClientTokenId':
    case 'SignatureDoesNotMatch':
    case 'ExpiredToken':
    case 'CredentialsProviderError':
    case 'KmsAccessDenied':
      return new IngestError('storage.permission_denied', said, { cause: error })
    default:
      return new IngestError('queue.unavailable', said, { cause: error })
  }
}
