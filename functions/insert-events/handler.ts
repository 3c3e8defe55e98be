import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda'
import * as z from 'zod'
import { asIngestError, IngestError } from '../../shared/core/errors.ts'
import { createInserts, insertError } from '../../shared/push/insert.ts'
import { defaultLimits, type PushLimits } from '../../shared/push/payload.ts'
import { receive } from '../../shared/push/receive.ts'
import { chargeStored } from '../../shared/push/stored-quota.ts'
import { validateRows } from '../../shared/push/validate.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { observed } from '../observed.ts'
import { readPrincipal } from '../principal.ts'
import { PushEnv } from '../push-env.ts'
import { openTables, pushPorts } from '../push-ports.ts'

const Event = z.object({
  pathParameters: z.object({ table: z.string() }),
  headers: z.record(z.string(), z.string().optional()),
  body: z.string().default(''),
  isBase64Encoded: z.boolean(),
  requestContext: z.object({ authorizer: z.object({ lambda: z.unknown() }) }),
})

/** Lambda is handed 6 MB of base64 at most. */
const limits: PushLimits = { ...defaultLimits, messageBytes: 4 << 20 }
/** The request waits no longer: its producer would give up, and API Gateway after 29 s. */
const MAX_HOLD_MS = 5000

const ports = pushPorts(readEnv(PushEnv, process.env))
const openPushTables = openTables(ports)

const insert = createInserts({
  ...ports,
  limits,
  async ready(principal, bytes) {
    const holdMs = await chargeStored(principal, bytes, ports)
    if (holdMs > MAX_HOLD_MS)
      throw new IngestError('push.quota_exceeded', 'the token is over its quota of bytes; send again later', {
        retryAfterMs: holdMs,
      })
    if (holdMs > 0) await ports.clock.sleep(holdMs)
  },
  async receive(name, batch) {
    const { tables } = await openPushTables()
    const table = await tables.open(name)
    if (!table)
      throw new IngestError(
        'push.not_permitted',
        `this token may not write ${name}, or there is no such table; ask for a token with that right`,
      )
    return receive(table, batch, { ...ports, tables, limits, validate: async (input) => validateRows(input) })
  },
})

/** One request of the HTTP door. */
export const handler = observed(async (input: unknown): Promise<APIGatewayProxyStructuredResultV2> => {
  const event = Event.parse(input)
  try {
    const body = Buffer.from(event.body, event.isBase64Encoded ? 'base64' : 'utf8')
    if (body.length > limits.messageBytes)
      throw new IngestError('push.too_large', `the body is over ${limits.messageBytes} bytes; send smaller ones`)
    return reply(
      200,
      { 'content-type': 'application/json' },
      await insert({
        table: event.pathParameters.table,
        principal: readPrincipal(event.requestContext.authorizer.lambda),
        contentEncoding: event.headers['content-encoding'],
        idempotencyKey: event.headers['idempotency-key'],
        body,
      }),
    )
  } catch (cause) {
    const error = asIngestError(cause)
    if (error.remedy === 'report') throw error
    const { status, headers, body } = insertError(error)
    return reply(status, headers, body)
  }
})

const reply = (statusCode: number, headers: Record<string, string>, body: unknown) => ({
  statusCode,
  headers,
  body: JSON.stringify(body),
})
