import {
  ApiGatewayManagementApiClient,
  GoneException,
  LimitExceededException,
  PostToConnectionCommand,
} from '@aws-sdk/client-apigatewaymanagementapi'
import { IngestError } from '../../shared/core/errors.ts'
import type { ServerFrame } from '../../shared/push/frames.ts'

/**
 * Sends frames to connections. One that is gone, or reads nothing, is told when it connects again.
 *
 * @throws IngestError `push.unreachable` (retry)
 */
export function connectionsOf(callbackUrl: string): (connectionId: string, frame: ServerFrame) => Promise<void> {
  const client = new ApiGatewayManagementApiClient({ endpoint: callbackUrl })
  return async (ConnectionId, frame) => {
    try {
      await client.send(new PostToConnectionCommand({ ConnectionId, Data: Buffer.from(JSON.stringify(frame)) }))
    } catch (cause) {
      if (cause instanceof GoneException || cause instanceof LimitExceededException) return
      throw new IngestError('push.unreachable', 'the connection could not be told anything', { cause })
    }
  }
}
