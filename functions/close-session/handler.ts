import * as z from 'zod'
import { removeConnection } from '../../shared/push/gateway-connections.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { tableState } from '../dynamodb.ts'
import { observed } from '../observed.ts'
import { Env } from './env.ts'

const Event = z.object({ requestContext: z.object({ connectionId: z.string() }) })

/** A connection has ended. API Gateway says so when it can; what it did not say expires. */
export const handler = observed(async (event: unknown) => {
  const { connectionId } = Event.parse(event).requestContext
  await removeConnection(connectionId, tableState(readEnv(Env, process.env).STATE_TABLE))
  return { statusCode: 200 }
})
