import type { Lane, Window } from './lane.ts'

/** Where a server takes ingest frames as requests, beside the socket. */
export interface Post {
  url: string
  messageBytes: number
  window: Window
}

/** A gateway answers within 30 s, whatever the function behind it does. */
const TIMEOUT_MS = 40_000

/**
 * Sends each ingest frame as the body of a request. What answers it is a frame, and may come in another order. `failed` is
 * told what kept an answer away; the frame may have been taken all the same.
 */
export function postLane(
  { url, messageBytes, window }: Post,
  options: { token: string; signal: AbortSignal; received(text: string): void; failed(why: string): void },
): Lane {
  const { token, signal, received, failed } = options
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' }

  async function send(body: string | Uint8Array<ArrayBuffer>) {
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)])
      const response = await fetch(url, { method: 'POST', headers, body, signal: limit })
      if (response.ok) received(await response.text())
      else failed(`status ${response.status} of ${new URL(url).host}`)
    } catch (cause) {
      if (!signal.aborted) failed(`${new URL(url).host}: ${cause}`)
    }
  }

  return { binary: true, messageBytes, window, isPaidByRequest: true, send: (body) => void send(body) }
}
