/** What the server or the transport refused. `code` is stable (docs/runbook.md); `isRetryable` says whether waiting helps. */
export class ZerobusError extends Error {
  override readonly name = 'ZerobusError'
  readonly code: string
  readonly isRetryable: boolean
  /** How long the server asked to wait. */
  readonly retryAfterMs: number | undefined

  constructor(
    code: string,
    message: string,
    options: { retryable?: boolean; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.isRetryable = options.retryable ?? false
    this.retryAfterMs = options.retryAfterMs
  }
}

/** Records the server left out because they do not fit the table; the reasons are in `rejections`. */
export class RejectedRecordsError extends ZerobusError {
  readonly rejections: readonly Rejection[]
  readonly count: number

  constructor(rejections: readonly Rejection[], count: number) {
    const first = rejections[0]
    const why = first
      ? `: offset ${first.offset}${first.column ? `, ${first.column}` : ''}: ${first.code}, got ${first.got}, wanted ${first.wanted}`
      : ''
    super('row.unrepresentable', `${count} records do not fit the table and were left out${why}`)
    this.rejections = rejections
    this.count = count
  }
}

export interface Rejection {
  offset: number
  column: string
  code: string
  got: string
  wanted: string
}

/** Anything thrown, as the kind of error that this package throws. */
export function asZerobusError(cause: unknown): ZerobusError {
  return cause instanceof ZerobusError ? cause : new ZerobusError('bug.invariant', String(cause), { cause })
}
