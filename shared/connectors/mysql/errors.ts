import { type ErrorCode, IngestError } from '../../core/errors.ts'

/** Codes by the names that the driver has for the server's numbers, and by errno of the socket. */
const codes: Record<string, ErrorCode> = {
  ER_ACCESS_DENIED_ERROR: 'source.auth_rejected',
  ER_ACCESS_DENIED_NO_PASSWORD_ERROR: 'source.auth_rejected',
  ER_ACCOUNT_HAS_BEEN_LOCKED: 'source.auth_rejected',
  ER_MUST_CHANGE_PASSWORD_LOGIN: 'source.auth_rejected',
  ER_NOT_SUPPORTED_AUTH_MODE: 'source.auth_rejected',
  ER_HOST_NOT_PRIVILEGED: 'source.auth_rejected',
  ER_HOST_IS_BLOCKED: 'source.auth_rejected',
  ER_SECURE_TRANSPORT_REQUIRED: 'source.tls_rejected',
  HANDSHAKE_NO_SSL_SUPPORT: 'source.tls_rejected',
  HANDSHAKE_SSL_ERROR: 'source.tls_rejected',
  ER_DBACCESS_DENIED_ERROR: 'source.permission_denied',
  ER_TABLEACCESS_DENIED_ERROR: 'source.permission_denied',
  ER_COLUMNACCESS_DENIED_ERROR: 'source.permission_denied',
  ER_SPECIFIC_ACCESS_DENIED_ERROR: 'source.permission_denied',
  ER_VIEW_INVALID: 'source.permission_denied',
  ER_BAD_DB_ERROR: 'source.object_missing',
  ER_NO_SUCH_TABLE: 'source.object_missing',
  ER_BAD_FIELD_ERROR: 'source.object_missing',
  ER_PARSE_ERROR: 'config.invalid',
  ER_CON_COUNT_ERROR: 'source.throttled',
  ER_TOO_MANY_USER_CONNECTIONS: 'source.throttled',
  ER_USER_LIMIT_REACHED: 'source.throttled',
  ER_LOCK_WAIT_TIMEOUT: 'source.unavailable',
  ER_LOCK_DEADLOCK: 'source.unavailable',
  ER_SERVER_SHUTDOWN: 'source.unreachable',
  ER_QUERY_INTERRUPTED: 'source.unavailable',
  PROTOCOL_CONNECTION_LOST: 'source.unreachable',
  ECONNREFUSED: 'source.unreachable',
  ECONNRESET: 'source.unreachable',
  ENOTFOUND: 'source.unreachable',
  EAI_AGAIN: 'source.unreachable',
  ETIMEDOUT: 'source.unreachable',
  EHOSTUNREACH: 'source.unreachable',
  ENETUNREACH: 'source.unreachable',
  EPIPE: 'source.unreachable',
}

/** Numbers of answers that we read ourselves, past the driver, and of the log (MySQL "Server Error Message Reference"). */
const numbers: Record<number, ErrorCode> = {
  1045: 'source.auth_rejected',
  1227: 'source.permission_denied',
  1142: 'source.permission_denied',
  1143: 'source.permission_denied',
  1054: 'source.object_missing',
  1146: 'source.object_missing',
  1064: 'config.invalid',
  1053: 'source.unreachable',
  1205: 'source.unavailable',
  1317: 'source.unavailable',
  // The log that we ask for is not there: purged, reset, or of another server.
  1236: 'source.position_lost',
  1789: 'source.position_lost',
  1945: 'source.position_lost',
  1955: 'source.position_lost',
}

/** An error packet of the protocol, read past the driver. */
export class ServerError extends Error {
  readonly errno: number
  constructor(errno: number, message: string) {
    super(message)
    this.errno = errno
  }
}

/**
 * A native error of the server, the driver or the socket as one of ours; `what` says in the user's words what was being
 * done. Anything unknown is the source's own failure and is tried again.
 */
export function translate(error: unknown, what: string): IngestError {
  if (error instanceof IngestError) return error
  const native = error as { code?: string; errno?: number; message?: string }
  const code = native.code ?? ''
  const message = native.message || code || String(error)
  if (/^(ERR_TLS|CERT_|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code) || /certificate/i.test(message))
    return new IngestError(
      'source.tls_rejected',
      `${what}: the server's certificate was not accepted (${code || message}); give its authority as sslrootcert, or correct the host name`,
      { cause: error },
    )
  const ours = codes[code] ?? numbers[native.errno ?? 0] ?? 'source.unavailable'
  const advice =
    code === 'ENOTFOUND'
      ? ': check the host name'
      : code === 'ECONNREFUSED'
        ? ': check host and port, and that the server runs and listens there'
        : native.errno === 1054 || native.errno === 1146
          ? // Names come from the catalog as it was when the run began.
            ': renamed or dropped while it was read; the next run takes the table as it is then'
          : ''
  return new IngestError(ours, `${what}: ${message}${advice}${native.errno ? ` (error ${native.errno})` : ''}`, {
    cause: error,
  })
}
