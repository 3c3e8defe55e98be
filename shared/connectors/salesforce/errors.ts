import { codeOfStatus, type Refusal } from '../../connector/http/errors.ts'
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
export function translate({ doing, status, body, retryAfterMs }: Refusal): IngestError | undefined {
  // 16,384 bytes of address and headers; the answer is a page of the web server ("API Request Limits and Allocations").
  if (status === 414 || status === 431)
    return new IngestError(
      'config.invalid',
      `${doing}: the query is longer than the org takes (${status}); choose fewer columns, or a shorter row_filter`,
    )
  const told = parse(body)
  if (!told) return undefined
  const [code, advice] = meaning(told) ?? [codeOfStatus(status)]
  const message = `${doing}: ${told.message.replace(/\s+/g, ' ').trim().slice(0, 400)} (${told.errorCode})${advice ? `; ${advice}` : ''}`
  return new IngestError(code, message, {
    cause: told,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
}

/** What ended a bulk job, which names the code of what went wrong somewhere in its text, or only its own. */
export function translateJob(doing: string, { id, state, errorMessage = '' }: EndedJob): IngestError {
  const named = errorMessage.match(/\b[A-Z]+(_[A-Z]+)+\b/g)?.find((code) => codes.has(plain(code)))
  const errorCode = named ?? /^\w+/.exec(errorMessage)?.[0] ?? state
  const told = new VendorError(errorCode, errorMessage)
  const [code, advice] = meaning(told) ?? ['source.unavailable' as const]
  const message = `${doing}: the bulk job ${id} ended as ${state}${errorMessage && `: ${errorMessage}`}${advice ? `; ${advice}` : ''}`
  return new IngestError(code, message, { cause: told })
}

interface EndedJob {
  id: string
  state: string
  errorMessage?: string | undefined
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

/** Undefined for a code that is not known. */
function meaning({ errorCode, message }: VendorError): readonly [ErrorCode, string?] | undefined {
  if (errorCode === 'REQUEST_LIMIT_EXCEEDED')
    return /concurrent/i.test(message)
      ? ['source.throttled']
      : ['source.quota_spent', 'the org has no API calls left for these 24 hours; the next run goes on from here']
  return codes.get(plain(errorCode)) ?? (errorCode.startsWith('invalid_') ? ['source.auth_rejected'] : undefined)
}

/** The Bulk API writes `ExceededQuota` and `EXCEEDEDQUOTA`. */
export const plain = (errorCode: string): string => errorCode.replaceAll('_', '').toUpperCase()

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
  INVALID_USER: ['source.permission_denied', 'the bulk job is of another user, or this one may make none'],
  INVALID_OPERATION_WITH_EXPIRED_PASSWORD: ['source.auth_rejected', "the user's password has expired"],
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

const codes = new Map(Object.entries(meanings).map(([code, meaning]) => [plain(code), meaning]))
