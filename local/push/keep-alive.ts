import type { WebSocket } from 'ws'
import { every } from './timers.ts'

const PING_MS = 30_000

/** Ends a connection whose far end does not answer one ping before the next. Returns what stops it. */
export function keepAlive(socket: WebSocket, isRead: () => boolean): () => void {
  let alive = true
  socket.on('pong', () => {
    alive = true
  })
  return every(PING_MS, () => {
    // Its answers are not read while it is held back.
    if (!isRead()) return
    if (!alive) return socket.terminate()
    alive = false
    socket.ping()
  })
}
