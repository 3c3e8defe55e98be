import type { Refusal } from '../../connector/http/errors.ts'
import { type ErrorCode, IngestError } from '../../core/errors.ts'

/** The org's own code and words: the cause of a translated error. */
export class VendorError extends Error {
  override readonly name = 'VendorError'
  readonly errorCode: string

  constructor(errorCode: string, message: string) {
    super(message)
    this.errorCode = errorCode
  }
}

/** The org's code behind an error, where it told one. */
export const vendorCode = (error: unknown): string | undefined =>
  error instanceof IngestError && error.cause instanceof VendorError ? error.cause.errorCode : undefined

/**
 * A refusal in the org's words (REST API Developer Guide, "Status Codes and Error Responses"): `[{"errorCode":
 * "INVALID_FIELD","message":"..."}]`, and `{"error":"invalid_grant","error_description":"..."}` of the token endpoint.
 */
export function translate({ doing, body, retryAfterMs }: Refusal): IngestError | undefined {
  const told = parse(body)
  if (!told) return undefined
  const [code, advice] = meaning(told)
  const message = `${doing}: ${told.message.replace(/\s+/g, ' ').trim().slice(0, 400)} (${told.errorCode})${advice ? `; ${advice}` : ''}`
  return new IngestError(code, message, {
    cause: told,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
}

/** True for the answer to an access token that has expired or was revoked. */
export const expired = ({ status, body }: Refusal) => status === 401 || parse(body)?.errorCode === 'INVALID_SESSION_ID'

function parse(body: string): VendorError | undefined {
  let json: unknown
  try {
    json = JSON.parse(body)
  } catch {
    return undefined
  }
  const first = (Array.isArray(json) ? json[0] : json) as Record<string, unknown> | null
  if (typeof first?.errorCode === 'string') return new VendorError(first.errorCode, String(first.message ?? ''))
  if (typeof first?.error === 'string') return new VendorError(first.error, String(first.error_description ?? ''))
  return undefined
}

function meaning({ errorCode, message }: VendorError): readonly [ErrorCode, string?] {
  if (errorCode === 'REQUEST_LIMIT_EXCEEDED')
    return /concurrent/i.test(message)
      ? ['source.throttled']
      : ['source.quota_spent', 'the org has no API calls left for these 24 hours; the next run goes on from here']
  return (
    meanings[errorCode] ?? (errorCode.startsWith('invalid_') ? ['source.auth_rejected'] : ['source.protocol_violation'])
  )
}

const meanings: Readonly<Record<string, readonly [ErrorCode, string?]>> = {
  INVALID_SESSION_ID: ['source.auth_rejected', 'the org takes no token of this connection; look at the connected app'],
  invalid_grant: ['source.auth_rejected', 'look at the user, the consent and the policies of the connected app'],
  invalid_client: ['source.auth_rejected', 'client_secret is not the one of the connected app'],
  invalid_client_id: ['source.auth_rejected', 'client_id is not a connected app of this org'],
  inactive_user: ['source.auth_rejected', 'the user was deactivated'],
  inactive_org: ['source.auth_rejected', 'the org is locked or closed'],
  unsupported_grant_type: [
    'source.auth_rejected',
    'the flow is not enabled; client_credentials needs the My Domain address in login_url',
  ],
  rate_limit_exceeded: ['source.throttled'],
  API_DISABLED_FOR_ORG: ['source.permission_denied', 'the edition of the org has no API'],
  API_CURRENTLY_DISABLED: ['source.permission_denied', 'the user needs the permission API Enabled'],
  INSUFFICIENT_ACCESS: ['source.permission_denied'],
  INSUFFICIENT_ACCESS_OR_READONLY: ['source.permission_denied'],
  FORBIDDEN: ['source.permission_denied'],
  OPERATION_TOO_LARGE: [
    'source.permission_denied',
    'give the user View All Data, so that sharing need not be worked out row by row',
  ],
  INVALID_FIELD: ['source.object_missing', 'the field is gone, or hidden from the user by field-level security'],
  INVALID_TYPE: ['source.object_missing', 'the object is gone, or the user may not read it'],
  NOT_FOUND: ['source.object_missing'],
  MALFORMED_QUERY: ['config.invalid', 'look at row_filter'],
  INVALID_QUERY_FILTER_OPERATOR: ['config.invalid', 'look at row_filter'],
  UNSUPPORTED_API_VERSION: ['config.invalid', 'choose another api_version'],
  QUERY_TIMEOUT: ['source.unavailable'],
  QUERY_TOO_COMPLICATED: ['config.invalid', 'choose fewer formula fields with exclude_columns'],
  INVALID_QUERY_LOCATOR: ['source.unavailable'],
  UNABLE_TO_LOCK_ROW: ['source.unavailable'],
  SERVER_UNAVAILABLE: ['source.unavailable'],
  UNKNOWN_EXCEPTION: ['source.unavailable'],
  EXCEEDED_QUOTA: ['source.quota_spent', 'the org has no bulk jobs left for these 24 hours'],
}
