import * as z from 'zod'
import { createGatewaySessions, gatewayLimits, gatewayWindow } from '../../shared/push/gateway-session.ts'
import { pressureOf } from '../../shared/push/pressure.ts'
import { validateRows } from '../../shared/push/validate.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { metrics, observed } from '../observed.ts'
import { readPrincipal } from '../principal.ts'
import { openTables, pushPorts } from '../push-ports.ts'
import { connectionsOf } from './api-gateway.ts'
import { Env } from './env.ts'

const Event = z.object({
  body: z.string().default(''),
  requestContext: z.object({ connectionId: z.string(), connectedAt: z.number(), authorizer: z.unknown() }),
})

/** Messages in the queue from which on a producer has one batch in flight at a time: about 3 GB of JSON. */
const FULL_QUEUE = 20_000

const env = readEnv(Env, process.env)
const ports = pushPorts(env)
const sessions = createGatewaySessions({
  ...ports,
  tables: openTables(ports),
  validate: async (input) => validateRows(input),
  limits: gatewayLimits,
  window: pressureOf(ports, gatewayWindow, FULL_QUEUE),
  tell: connectionsOf(env.CALLBACK_URL),
})

/** One message of a producer. What is returned is its answer on the socket: the route response. */
export const handler = observed(async (event: unknown) => {
  const { body, requestContext } = Event.parse(event)
  const { connectionId, connectedAt, authorizer } = requestContext
  const connection = { id: connectionId, principal: readPrincipal(authorizer), connectedAtMs: connectedAt }
  const frame = await sessions.answer(body, connection)
  if (frame.type === 'error') metrics.addMetric('PushRefused', 'Count', 1)
  return { statusCode: 200, body: JSON.stringify(frame) }
})
