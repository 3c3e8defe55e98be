import * as z from 'zod'
import { createGatewaySessions, gatewayLimits, gatewayWindow } from '../../shared/push/gateway-session.ts'
import { validateRows } from '../../shared/push/validate.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { metrics, observed } from '../observed.ts'
import { readPrincipal } from '../principal.ts'
import { PushEnv } from '../push-env.ts'
import { openTables, pushPorts } from '../push-ports.ts'

const Event = z.object({
  body: z.string().default(''),
  requestContext: z.object({ connectionId: z.string(), authorizer: z.unknown() }),
})

const ports = pushPorts(readEnv(PushEnv, process.env))
const sessions = createGatewaySessions({
  ...ports,
  tables: openTables(ports),
  validate: async (input) => validateRows(input),
  limits: gatewayLimits,
  window: gatewayWindow,
})

/** One message of a producer. What is returned is its answer on the socket: the route response. */
export const handler = observed(async (event: unknown) => {
  const { body, requestContext } = Event.parse(event)
  const principal = readPrincipal(requestContext.authorizer)
  const frame = await sessions.answer(body, { id: requestContext.connectionId, principal })
  if (frame.type === 'error') metrics.addMetric('PushRefused', 'Count', 1)
  return { statusCode: 200, body: JSON.stringify(frame) }
})
