import { type ErrorCode, IngestError } from '../../core/errors.ts'

/** Codes by SQLSTATE, or by its class of two characters (PostgreSQL documentation, appendix A), and by errno of the socket. */
const codes: Record<string, ErrorCode> = {
  '28': 'source.auth_rejected',
  '28P01': 'source.auth_rejected',
  '3D000': 'source.object_missing',
  '3F000': 'source.object_missing',
  '42P01': 'source.object_missing',
  '42703': 'source.object_missing',
  '42704': 'source.object_missing',
  '42501': 'source.permission_denied',
  '22': 'config.invalid',
  '42': 'config.invalid',
  '53': 'source.unavailable',
  '53300': 'source.throttled',
  // A slot is read by one at a time: the reader before us is on its way out.
  '55006': 'source.throttled',
  '08': 'source.unreachable',
  ECONNREFUSED: 'source.unreachable',
  ECONNRESET: 'source.unreachable',
  ENOTFOUND: 'source.unreachable',
  EAI_AGAIN: 'source.unreachable',
  ETIMEDOUT: 'source.unreachable',
  EHOSTUNREACH: 'source.unreachable',
  ENETUNREACH: 'source.unreachable',
  EPIPE: 'source.unreachable',
}

/** What `pg` says without a code. The texts are held by test/service/postgres-errors.test.ts. */
const texts: readonly [RegExp, ErrorCode, string][] = [
  [
    /does not support SSL/,
    'source.tls_rejected',
    'set sslmode to `disable` or `prefer`, or switch TLS on in the server',
  ],
  [/SASL|password must be a string/, 'source.auth_rejected', 'set the password of the connection'],
  [/Connection terminated|timeout expired|not queryable/, 'source.unreachable', 'check that the server runs'],
]

/**
 * A native error of PostgreSQL, `pg` or the socket as one of ours; `what` says in the user's words what was being done.
 * Anything unknown is the source's own failure and is tried again.
 */
export function translate(error: unknown, what: string): IngestError {
  if (error instanceof IngestError) return error
  const native = error as { code?: string; message?: string; name?: string }
  const code = native.code ?? ''
  const message = native.message || code || String(error)
  for (const [text, ours, advice] of texts)
    if (!codes[code] && text.test(message))
      return new IngestError(ours, `${what}: ${message}; ${advice}`, { cause: error })
  if (/^(ERR_TLS|CERT_|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code))
    return new IngestError(
      'source.tls_rejected',
      `${what}: the server's certificate was not accepted (${code}); give its authority as sslrootcert, or correct the host name`,
      { cause: error },
    )
  const ours = codes[code] ?? codes[code.slice(0, 2)] ?? 'source.unavailable'
  return new IngestError(ours, `${what}: ${describe(code, message)}`, { cause: error })
}

function describe(code: string, message: string): string {
  // Class 22 quotes the offending value in its message; it may be row content.
  if (code.startsWith('22'))
    return `a value is not of its column's type (SQLSTATE ${code}): check the constants of the filter`
  if (code === 'ENOTFOUND') return `${message}: check the host name`
  if (code === 'ECONNREFUSED') return `${message}: check host and port, and that the server runs and listens there`
  // Names come from the catalog as it was when the run began.
  if (code === '42703' || code === '42P01')
    return `${message} (SQLSTATE ${code}): renamed or dropped while it was read; the next run takes the table as it is then`
  return code ? `${message} (${/^[0-9A-Z]{5}$/.test(code) ? 'SQLSTATE ' : ''}${code})` : message
}
