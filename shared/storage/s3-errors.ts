import { IngestError } from '../core/errors.ts'

/** What an AWS SDK error carries, of what decides. */
export interface AwsError {
  name: string
  message: string
  $metadata?: { httpStatusCode?: number; attempts?: number }
}

/** An error of S3 as one of ours, by its code and status. `doing` is a phrase like `write "a/b"`. */
export function s3Error(error: unknown, doing: string): IngestError {
  if (error instanceof IngestError) return error
  const { name, message, $metadata } = error as AwsError
  const said = `could not ${doing}: ${name}: ${message}`
  const status = $metadata?.httpStatusCode
  switch (name) {
    case 'NoSuchBucket':
    case 'PermanentRedirect':
      return new IngestError('storage.missing', said, { cause: error })
    case 'KeyTooLongError':
      return new IngestError('storage.path_invalid', said, { cause: error })
    // S3-compatible stores on a disk of their own.
    case 'XMinioStorageFull':
    case 'QuotaExceeded':
      return new IngestError('storage.full', said, { cause: error })
    // The SDK found no credentials, or could not renew them.
    case 'CredentialsProviderError':
    case 'ExpiredToken':
      return new IngestError('storage.permission_denied', said, { cause: error })
  }
  if (status === 401 || status === 403) return new IngestError('storage.permission_denied', said, { cause: error })
  return new IngestError('storage.unavailable', said, { cause: error })
}

/** Whether the SDK sent the request more than once, so that an earlier try may have taken effect unheard. */
export const wasRetried = (error: unknown): boolean => ((error as AwsError).$metadata?.attempts ?? 1) > 1

export const statusOf = (error: unknown): number | undefined =>
  (error as AwsError | undefined)?.$metadata?.httpStatusCode
