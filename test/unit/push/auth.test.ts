import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { authorize, createAuthenticator, type Grant, may } from '../../../shared/push/auth.ts'
import { createQuotas } from '../../../shared/push/quota.ts'

const grants: Grant[] = [{ tables: ['main.events.*'], actions: ['write'] }]
const keys = await generateKeyPair('ES256')
const strangers = await generateKeyPair('ES256')
const issuer = createServer((_, response) => {
  void exportJWK(keys.publicKey).then((jwk) =>
    response.end(JSON.stringify({ keys: [{ ...jwk, alg: 'ES256', kid: 'k1' }] })),
  )
})
let jwksUrl = ''

beforeAll(async () => {
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve))
  jwksUrl = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/keys`
})
afterAll(() => new Promise<void>((resolve) => issuer.close(() => resolve())))

const base = { issuer: 'https://id.example', audience: 'zerobus', quota: {} }
const jwt = (key: Parameters<SignJWT['sign']>[0], alg: string, claims: { aud?: string; exp?: string | number } = {}) =>
  new SignJWT({ lakeflow_push: grants })
    .setProtectedHeader({ alg, kid: 'k1' })
    .setIssuer('https://id.example')
    .setAudience(claims.aud ?? 'zerobus')
    .setSubject('producer-1')
    .setExpirationTime(claims.exp ?? '1h')
    .sign(key)

test('a static token gives its grants and quota, any other is refused', async () => {
  const authenticate = createAuthenticator({
    tokens: [{ name: 'web', token: 's3cret', grants, quota: { sessions: 2 } }],
  })

  await expect(authenticate('s3cret')).resolves.toEqual({ subject: 'token:web', grants, quota: { sessions: 2 } })
  await expect(authenticate('s3cretx')).rejects.toMatchObject({ code: 'push.unauthenticated' })
  await expect(authenticate(undefined)).rejects.toMatchObject({ code: 'push.unauthenticated' })
})

test('a JWT of the issuer is accepted by its published key until it expires', async () => {
  const authenticate = createAuthenticator({ tokens: [], jwt: { ...base, jwksUrl } })

  const principal = await authenticate(await jwt(keys.privateKey, 'ES256'))

  expect(principal).toMatchObject({ subject: 'jwt:https://id.example:producer-1', grants })
  expect(principal.expiresAtMs! - Date.now()).toBeGreaterThan(3_500_000)
})

test('a JWT of another key, audience or time is refused, and so is one signed with the public key as HMAC secret', async () => {
  const authenticate = createAuthenticator({ tokens: [], jwt: { ...base, jwksUrl } })
  const confused = await jwt(new TextEncoder().encode(JSON.stringify(await exportJWK(keys.publicKey))), 'HS256')

  for (const token of [
    await jwt(strangers.privateKey, 'ES256'),
    await jwt(keys.privateKey, 'ES256', { aud: 'other' }),
    await jwt(keys.privateKey, 'ES256', { exp: 1 }),
    confused,
    'x.y.z',
  ])
    await expect(authenticate(token)).rejects.toMatchObject({ code: 'push.unauthenticated', remedy: 'fix' })
})

test('an HMAC secret checks JWTs without an issuer on the network', async () => {
  const authenticate = createAuthenticator({ tokens: [], jwt: { ...base, secret: 'a shared secret of some length!!' } })

  const token = await jwt(new TextEncoder().encode('a shared secret of some length!!'), 'HS256')

  await expect(authenticate(token)).resolves.toMatchObject({ grants })
})

test('an issuer that does not answer is worth another try', async () => {
  const authenticate = createAuthenticator({ tokens: [], jwt: { ...base, jwksUrl: 'http://127.0.0.1:1/keys' } })

  await expect(authenticate(await jwt(keys.privateKey, 'ES256'))).rejects.toMatchObject({
    code: 'push.issuer_unreachable',
    remedy: 'retry',
  })
})

test.each([
  ['*', 'main.events.clicks', true],
  ['main.*.*', 'main.events.clicks', true],
  ['main.events.clicks', 'main.events.clicks', true],
  ['main.events', 'main.events.clicks', false],
  ['main.*', 'main.events.clicks', false],
  ['other.events.*', 'main.events.clicks', false],
])('pattern %s on %s: %s', (pattern, table, expected) => {
  expect(may({ subject: 's', quota: {}, grants: [{ tables: [pattern], actions: ['write'] }] }, 'write', table)).toBe(
    expected,
  )
})

test('the refusal does not tell whether the table exists', () => {
  const principal = { subject: 's', quota: {}, grants }

  expect(() => authorize(principal, 'create', 'main.events.clicks')).toThrow('or there is no such table')
})

test('a token over its rate is held back for as long as it owes, over its sessions it is refused', () => {
  let now = 0
  const quotas = createQuotas({ now: () => now, sleep: async () => {} })
  const principal = { subject: 's', grants, quota: { bytesPerSecond: 1000, sessions: 1 } }

  quotas.enter(principal)
  expect(quotas.charge(principal, 1000)).toBe(0)
  expect(quotas.charge(principal, 500)).toBe(500)
  now = 1500
  expect(quotas.charge(principal, 1000)).toBe(0)

  expect(() => quotas.enter(principal)).toThrow(expect.objectContaining({ code: 'push.quota_exceeded' }))
  quotas.leave(principal)
  quotas.enter(principal)
})
