import * as z from 'zod'
import type { ServerFrame } from '../../shared/push/frames.ts'
import { createGatewaySessions, gatewayLimits } from '../../shared/push/gateway-session.ts'
import { pressureOf } from '../../shared/push/pressure.ts'
import { validateRows } from '../../shared/push/validate.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { metrics, observed } from '../observed.ts'
import { readPrincipal } from '../principal.ts'
import { openTables, pushPorts } from '../push-ports.ts'
import { connectionsOf } from './api-gateway.ts'
import { Env } from './env.ts'

const SocketEvent = z.object({
  body: z.string().default(''),
  requestContext: z.object({ connectionId: z.string(), connectedAt: z.number(), authorizer: z.unknown() }),
})

/** Of the HTTP API, payload format 2.0. */
const PostEvent = z.object({
  version: z.literal('2.0'),
  pathParameters: z.object({ connection: z.string() }),
  body: z.string().default(''),
  isBase64Encoded: z.boolean(),
  requestContext: z.object({ authorizer: z.object({ lambda: z.unknown() }) }),
})

const Event = z.union([PostEvent, SocketEvent])
type Event = z.infer<typeof Event>

/** Compressed bytes in the queue from which on a producer has one batch in flight at a time: about 3 GB of JSON. */
const FULL_QUEUE_BYTES = 600e6

const env = readEnv(Env, process.env)
const ports = pushPorts(env)
const sessions = createGatewaySessions({
  ...ports,
  tables: openTables(ports),
  validate: async (input) => validateRows(input),
  limits: gatewayLimits,
  room: pressureOf(ports, FULL_QUEUE_BYTES),
  postUrl: env.POST_URL,
  tell: connectionsOf(env.CALLBACK_URL),
})

/**
 * One message of a producer, from the socket or posted. What is returned is its answer: the route response on the socket, or
 * the response of the request.
 */
export const handler = observed(async (event: unknown) => {
  const frame = await answer(Event.parse(event))
  if (frame.type === 'error') metrics.addMetric('PushRefused', 'Count', 1)
  return { statusCode: 200, body: JSON.stringify(frame) }
})

function answer(event: Event): Promise<ServerFrame> {
  if ('pathParameters' in event) {
    const { body, isBase64Encoded, pathParameters, requestContext } = event
    const principal = readPrincipal(requestContext.authorizer.lambda)
    const bytes = Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8')
    return sessions.answerPosted(bytes, { id: pathParameters.connection, principal })
  }
  const { connectionId, connectedAt, authorizer } = event.requestContext
  const connection = { id: connectionId, principal: readPrincipal(authorizer), connectedAtMs: connectedAt }
  return sessions.answer(event.body, connection)
}
