import { SUBPROTOCOL } from '../../shared/push/bearer.ts'
import { observed } from '../observed.ts'

/** A producer connects, authorized. A browser goes on only when its subprotocol is chosen. */
export const handler = observed(async () => ({
  statusCode: 200,
  headers: { 'Sec-WebSocket-Protocol': SUBPROTOCOL },
}))
