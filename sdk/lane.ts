/** What may be in flight. */
export interface Window {
  bytes: number
  records: number
}

/** The way of ingest messages: the socket, or requests beside it. */
export interface Lane {
  readonly binary: boolean
  readonly messageBytes: number
  readonly window: Window
  /** A message costs the same however little is in it, so that few and full ones are better. */
  readonly isPaidByRequest: boolean
  /** A message on an ended connection goes nowhere. */
  send(message: string | Uint8Array<ArrayBuffer>): void
}
