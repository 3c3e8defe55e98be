import { createPrivateKey, sign } from 'node:crypto'
import * as z from 'zod'
import type { HttpClient } from '../../connector/http/client.ts'
import type { Token } from '../../connector/http/tokens.ts'
import type { Clock } from '../../core/clock.ts'
import { IngestError } from '../../core/errors.ts'
import type { SalesforceConfig } from './config.ts'

export interface OrgToken extends Token {
  /** Address of the org: every other request goes there. */
  instanceUrl: string
  userId: string
}

/** `id` is the identity's address: `https://login.salesforce.com/id/<org>/<user>`. */
const Answer = z.looseObject({ access_token: z.string(), instance_url: z.url(), id: z.url() })

/** Asks for an access token by the flow of the configuration (Salesforce Help, "OAuth Authorization Flows"). */
export async function askToken(
  config: SalesforceConfig,
  clock: Clock,
  client: HttpClient<OrgToken>,
): Promise<OrgToken> {
  const answer = await client.json(
    {
      doing: 'sign in',
      path: new URL('/services/oauth2/token', config.login_url).href,
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
      body: new URLSearchParams(form(config, clock)).toString(),
      open: true,
    },
    Answer,
  )
  return {
    value: answer.access_token,
    instanceUrl: answer.instance_url.replace(/\/$/, ''),
    userId: answer.id.split('/').at(-1)!,
  }
}

function form(config: SalesforceConfig, clock: Clock): Record<string, string> {
  const { client_id, client_secret } = config
  switch (config.auth) {
    case 'client_credentials':
      return { grant_type: 'client_credentials', client_id, client_secret: client_secret! }
    case 'refresh_token':
      return {
        grant_type: 'refresh_token',
        client_id,
        refresh_token: config.refresh_token!,
        ...(client_secret && { client_secret }),
      }
    case 'jwt_bearer':
      return { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: assertion(config, clock) }
  }
}

/** RFC 7523, signed with RS256. The org takes one that expires within five minutes. */
function assertion({ client_id, username, private_key, login_url }: SalesforceConfig, clock: Clock): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const expiresAt = Math.floor(clock.now() / 1000) + 180
  const signed = `${part({ alg: 'RS256' })}.${part({ iss: client_id, sub: username, aud: audience(login_url), exp: expiresAt })}`
  try {
    const signature = sign('RSA-SHA256', Buffer.from(signed), createPrivateKey(private_key!))
    return `${signed}.${signature.toString('base64url')}`
  } catch (cause) {
    throw new IngestError('config.invalid', 'private_key is not a PEM private key of RSA', { cause })
  }
}

/** The audience is the login server, also for a sandbox's own domain. */
function audience(loginUrl: string): string {
  const { hostname, origin } = new URL(loginUrl)
  if (!hostname.endsWith('.my.salesforce.com')) return origin
  return hostname.includes('.sandbox.') ? 'https://test.salesforce.com' : 'https://login.salesforce.com'
}
