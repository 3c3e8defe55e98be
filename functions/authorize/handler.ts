import type { APIGatewayAuthorizerResult, APIGatewaySimpleAuthorizerWithContextResult } from 'aws-lambda'
import * as z from 'zod'
import { jwtSettings, staticTokens } from '../../shared/control/push-settings.ts'
import { asIngestError } from '../../shared/core/errors.ts'
import { resolveText } from '../../shared/pipeline/references.ts'
import { createAuthenticator, type Principal } from '../../shared/push/auth.ts'
import { bearerOf } from '../../shared/push/bearer.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { tableState } from '../dynamodb.ts'
import { logger, observed } from '../observed.ts'
import { fromPushSpec } from '../push-ports.ts'
import { secretsUnder } from '../secrets-manager.ts'
import { Env } from './env.ts'

const Event = z.object({
  /** Of the HTTP API, which takes a simple answer. */
  version: z.string().optional(),
  methodArn: z.string().optional(),
  headers: z.record(z.string(), z.string().optional()),
})

const env = readEnv(Env, process.env)
const secrets = secretsUnder(`${env.STAGE}/lakeflow/push`)

const authenticator = fromPushSpec(tableState(env.STATE_TABLE), async (spec) => {
  const source = {
    env: () => undefined,
    file: async () => undefined,
    secret: (name: string) => secrets.get(name),
  }
  const resolve = (text: string) => resolveText(text, source, () => {})
  const jwt = await jwtSettings(spec, resolve)
  return createAuthenticator({ tokens: await staticTokens(spec, resolve), ...(jwt ? { jwt } : {}) })
})

/** Says who is behind a connection or a request, once each; the other functions get it with every event. */
export const handler = observed(
  async (
    event: unknown,
  ): Promise<APIGatewayAuthorizerResult | APIGatewaySimpleAuthorizerWithContextResult<Context>> => {
    const { version, methodArn, headers } = Event.parse(event)
    const principal = await principalOf(headers)
    if (version === '2.0') return { isAuthorized: principal !== undefined, context: contextOf(principal) }
    // The one text that API Gateway answers with 401.
    if (!principal || !methodArn) throw new Error('Unauthorized')
    return {
      principalId: principal.subject,
      policyDocument: {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: 'execute-api:Invoke', Resource: methodArn }],
      },
      context: contextOf(principal),
    }
  },
)

interface Context {
  [name: string]: string
}

const contextOf = (principal: Principal | undefined): Context =>
  principal ? { principal: JSON.stringify(principal) } : {}

async function principalOf(headers: Readonly<Record<string, string | undefined>>): Promise<Principal | undefined> {
  const authenticate = await authenticator()
  try {
    return await authenticate(bearerOf(headers))
  } catch (cause) {
    const error = asIngestError(cause)
    if (error.code !== 'push.unauthenticated') throw error
    logger.info(error.message)
    return undefined
  }
}
