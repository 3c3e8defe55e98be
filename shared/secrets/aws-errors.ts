import { IngestError } from '../core/errors.ts'

/** An error of Secrets Manager or Parameter Store as one of ours, by its name. Their messages hold names, never values. */
export function secretError(error: unknown, doing: string): IngestError {
  if (error instanceof IngestError) return error
  const { name, message } = error as Error
  const said = `could not ${doing}: ${name}: ${message}`
  switch (name) {
    case 'AccessDeniedException':
    case 'UnrecognizedClientException':
    case 'InvalidSignatureException':
    case 'ExpiredTokenException':
    case 'CredentialsProviderError':
      return new IngestError('storage.permission_denied', said, { cause: error })
    // KMS refused, or its key is gone.
    case 'DecryptionFailure':
    case 'EncryptionFailure':
    case 'InvalidKeyId':
      return new IngestError('secrets.unreadable', said, { cause: error })
    default:
      return new IngestError('storage.unavailable', said, { cause: error })
  }
}
