import { createHash, timingSafeEqual } from 'node:crypto'
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import * as z from 'zod'
import { IngestError } from '../core/errors.ts'

export const pushActions = ['write', 'create'] as const
export type PushAction = (typeof pushActions)[number]

/** What a token may do. `tables` are full names or patterns: `main.events.*`, `main.*.*`, `*`. */
export interface Grant {
  tables: readonly string[]
  actions: readonly PushAction[]
}

/** Limits of one token over all its connections to one server. */
export interface Quota {
  bytesPerSecond?: number
  sessions?: number
}

/** Who is behind a connection. `subject` owns the sessions it opens: no other subject can resume them. */
export interface Principal {
  subject: string
  grants: readonly Grant[]
  quota: Quota
  /** When the token ends; the connection is drained before it. */
  expiresAtMs?: number
}

/** @throws IngestError `push.unauthenticated` (fix), `push.issuer_unreachable` (retry) */
export type Authenticate = (token: string | undefined) => Promise<Principal>

export interface StaticToken {
  name: string
  token: string
  grants: readonly Grant[]
  quota: Quota
}

/** How bearer tokens that are JWTs are checked: by the issuer's published keys, or by one shared secret (HMAC). */
export interface JwtSettings {
  issuer: string
  audience: string
  jwksUrl?: string
  secret?: string
  quota: Quota
}

/**
 * The claim of a JWT that says what it may do: `"lakeflow_push": [{ "tables": ["main.events.*"], "actions": ["write"] }]`.
 * A token without it may do nothing.
 */
const GRANTS_CLAIM = 'lakeflow_push'

const grantsClaim = z.array(
  z.object({ tables: z.array(z.string()), actions: z.array(z.enum(pushActions)).default(['write']) }),
)

/** Checks static tokens first, then JWTs when they are configured. */
export function createAuthenticator(options: { tokens: readonly StaticToken[]; jwt?: JwtSettings }): Authenticate {
  const tokens = options.tokens.map((token) => ({ ...token, digest: sha256(token.token) }))
  const verifyJwt = options.jwt && jwtVerifier(options.jwt)
  return async (token) => {
    if (!token) throw unauthenticated('no bearer token was given')
    const digest = sha256(token)
    const found = tokens.find((known) => timingSafeEqual(known.digest, digest))
    if (found) return { subject: `token:${found.name}`, grants: found.grants, quota: found.quota }
    if (verifyJwt) return verifyJwt(token)
    throw unauthenticated('the bearer token is not known')
  }
}

/**
 * Refuses what a principal may not do. The message is the same whether the table exists or not, so that nothing about
 * a table leaks to one who may not write it.
 *
 * @throws IngestError `push.not_permitted` (fix)
 */
export function authorize(principal: Principal, action: PushAction, table: string): void {
  if (!may(principal, action, table))
    throw new IngestError(
      'push.not_permitted',
      `this token may not ${action} ${table}, or there is no such table; ask for a token with that right`,
    )
}

export function may(principal: Principal, action: PushAction, table: string): boolean {
  return principal.grants.some(
    (grant) => grant.actions.includes(action) && grant.tables.some((pattern) => matches(pattern, table)),
  )
}

function matches(pattern: string, table: string): boolean {
  if (pattern === '*') return true
  const wanted = pattern.split('.')
  const parts = table.split('.')
  return wanted.length === parts.length && wanted.every((part, i) => part === '*' || part === parts[i])
}

function jwtVerifier(settings: JwtSettings): (token: string) => Promise<Principal> {
  const secret = settings.secret === undefined ? undefined : new TextEncoder().encode(settings.secret)
  const keys = settings.jwksUrl === undefined ? undefined : createRemoteJWKSet(new URL(settings.jwksUrl))
  // The algorithms are named so that a public key can never be taken for an HMAC secret.
  const algorithms = secret
    ? ['HS256', 'HS384', 'HS512']
    : ['RS256', 'RS384', 'RS512', 'PS256', 'ES256', 'ES384', 'EdDSA']
  const options = { issuer: settings.issuer, audience: settings.audience, algorithms, requiredClaims: ['sub', 'exp'] }
  return async (token) => {
    let payload: JWTPayload
    try {
      const verified = secret
        ? await jwtVerify(token, secret, options)
        : await jwtVerify(token, keys as JWTVerifyGetKey, options)
      payload = verified.payload
    } catch (error) {
      throw translate(error)
    }
    const grants = grantsClaim.safeParse(payload[GRANTS_CLAIM] ?? [])
    if (!grants.success) throw unauthenticated(`the claim ${GRANTS_CLAIM} is not a list of {tables, actions}`)
    return {
      subject: `jwt:${payload.iss}:${payload.sub}`,
      grants: grants.data,
      quota: settings.quota,
      expiresAtMs: payload.exp! * 1000,
    }
  }
}

function translate(error: unknown): IngestError {
  if (error instanceof errors.JWTExpired) return unauthenticated('the token has expired', error)
  const ofToken =
    error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout) && error.code !== 'ERR_JOSE_GENERIC'
  if (ofToken) return unauthenticated('the token is not valid here', error)
  return new IngestError(
    'push.issuer_unreachable',
    'the keys of the token issuer could not be read; connect again later',
    {
      cause: error,
    },
  )
}

const sha256 = (text: string) => createHash('sha256').update(text).digest()

const unauthenticated = (detail: string, cause?: unknown) =>
  new IngestError('push.unauthenticated', `${detail}; connect with a token that may write the table`, { cause })
