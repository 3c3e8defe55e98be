import { type ErrorCode, IngestError } from '../../core/errors.ts'

/** An answer that is not a success, as a connector's own translation gets it. */
export interface Refusal {
  /** What was being done, in the user's words: `read Account`. */
  doing: string
  status: number
  headers: Headers
  /** The first 64 KB of the body. */
  body: string
  /** How long the source asked us to wait, in milliseconds. */
  retryAfterMs?: number
}

/** By status alone: for what a connector's own translation does not know. */
export function refusalError({ doing, status, body, retryAfterMs }: Refusal): IngestError {
  const told = body.trim().slice(0, 300)
  const message = `${doing}: the source answered ${status}${told === '' ? '' : `: ${told}`}`
  return new IngestError(codeOfStatus(status), message, retryAfterMs === undefined ? {} : { retryAfterMs })
}

export function codeOfStatus(status: number): ErrorCode {
  if (status === 401) return 'source.auth_rejected'
  if (status === 403) return 'source.permission_denied'
  if (status === 404 || status === 410) return 'source.object_missing'
  if (status === 429) return 'source.throttled'
  if (status === 408 || status === 425 || status >= 500) return 'source.unavailable'
  return 'source.protocol_violation'
}

/** The body ended before it was whole, or was not what it said. It is asked for again. */
export class IncompleteBody extends Error {
  override readonly name = 'IncompleteBody'
}

const CERTIFICATE = /^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL)/

/** What fetch and its streams throw, which carries the system's code in its cause. Ours pass. */
export function networkError(doing: string, error: unknown): IngestError {
  if (error instanceof IngestError) return error
  if (error instanceof IncompleteBody)
    return new IngestError('source.unavailable', `${doing}: ${error.message}`, { cause: error })
  const code = codeIn(error)
  if (code !== undefined && CERTIFICATE.test(code))
    return new IngestError('source.tls_rejected', `${doing}: the source's certificate is not accepted (${code})`, {
      cause: error,
    })
  const reason = code ?? (error instanceof Error ? error.message : String(error))
  return new IngestError('source.unreachable', `${doing}: no answer from the source (${reason})`, { cause: error })
}

/** Of the error, of what caused it, or of the first of many that did. */
function codeIn(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const { code, errors } = error as { code?: unknown; errors?: readonly unknown[] }
  return typeof code === 'string' ? code : (codeIn(error.cause) ?? codeIn(errors?.[0]))
}
