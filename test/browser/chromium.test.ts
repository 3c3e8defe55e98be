import { createReadStream } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { SignJWT } from 'jose'
import { createAuthenticator } from '../../shared/push/auth.ts'
import { CLICKS, rowsOf } from '../support/push.ts'
import { startTestPush, type TestPushServer } from '../support/push-door.ts'
import { type TcpProxy, tcpProxy } from '../support/tcp-proxy.ts'
import { type BuiltPackage, buildPackage } from './built-package.ts'
import { type ChromiumPage, openChromium } from './chromium.ts'

/** The package as built, in a real page and in Node, against the same server; every scenario runs in both at once. */

const secret = 'a shared secret of more than 32 bytes'
const grants = [{ tables: ['main.*.*'], actions: ['write' as const] }]
const TOKEN_MS = 3000

const cleanups: (() => Promise<unknown>)[] = []
let built: BuiltPackage
let page: ChromiumPage
let site: { url: string; server: Server }
let server: TestPushServer
/** Ends connections at an age of a second, as a gateway does at two hours. */
let shortLived: TestPushServer
let proxy: TcpProxy

beforeAll(async () => {
  built = buildPackage()
  const authenticate = createAuthenticator({
    tokens: [{ name: 'writer', token: 'secret', grants, quota: {} }],
    jwt: { issuer: 'https://id.example', audience: 'zerobus', secret, quota: {} },
  })
  server = await startTestPush(cleanups, { authenticate, settings: { drainMs: 1000 } })
  shortLived = await startTestPush(cleanups, { authenticate, settings: { maxConnectionAgeMs: 1000, drainMs: 500 } })
  proxy = await tcpProxy()
  proxy.use(server.port)
  cleanups.push(() => proxy.close())
  site = await serveSite(built)
  cleanups.push(() => new Promise((resolve) => site.server.close(resolve)))
  page = await openChromium(`${site.url}/`)
  cleanups.push(() => page.close())
  console.log(page.version)
})

afterAll(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
  built?.remove()
})

interface Target {
  url: string
  token?: string
  tokenUrl?: string
}

type Place = 'page' | 'node'

/** Runs a scenario in the page or in Node; ids begin with `<name>-page` or `<name>-node`. */
async function run<T>(place: Place, name: string, target: Target, scenario: string, options: object = {}): Promise<T> {
  const full = { token: 'secret', ...target, table: CLICKS, prefix: `${name}-${place}` }
  if (place === 'node') {
    const scenarios = await import(pathToFileURL(join(built.project, 'scenarios.mjs')).href)
    return scenarios[scenario](full, options)
  }
  const call = `${scenario}(${JSON.stringify(full)}, ${JSON.stringify(options)})`
  return (await page.evaluate(`import('/scenarios.mjs').then((scenarios) => scenarios.${call})`)) as T
}

const both = <T>(...args: [string, Target, string, object?]): Promise<T[]> =>
  Promise.all([run<T>('page', ...args), run<T>('node', ...args)])

/** The numbers of this name's ids in the table, in order, for both producers. */
async function stored(from: TestPushServer, name: string) {
  const ids = (await rowsOf(from.lake)).map((row) => String(row.id))
  return ['page', 'node'].map((where) => {
    const mine = ids.filter((id) => id.startsWith(`${name}-${where}:`))
    return mine.map((id) => Number(id.split(':')[1])).sort((a, b) => a - b)
  })
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

/** Records that are durable but not yet committed become so within seconds. */
async function expectStored(from: TestPushServer, name: string, counts: readonly number[]) {
  const wanted = counts.map(upTo)
  const endMs = Date.now() + 10_000
  while (Date.now() < endMs) {
    const found = await stored(from, name)
    if (found.every((ids, i) => ids.length >= wanted[i]!.length)) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  expect(await stored(from, name)).toEqual(wanted)
}

test.each(['none', 'gzip'])('records arrive with compression %s', async (compression) => {
  const name = `ingest-${compression}`
  const results = await both(name, { url: server.url }, 'ingest', { count: 3000, compression })

  expect(results).toEqual(Array(2).fill({ acked: 2999, columns: ['id', 'n'] }))
  expect(await stored(server, name)).toEqual([upTo(3000), upTo(3000)])
})

test('a connection that is cut again and again loses and doubles nothing', async () => {
  const cutting = setInterval(() => proxy.cut('all'), 300)
  const before = proxy.connections
  const results = await both<Trickled>('cut', { url: proxy.url }, 'trickle', { forMs: 2500 })
  clearInterval(cutting)

  expect(proxy.connections - before).toBeGreaterThan(4)
  for (const { troubles, unacked } of results) {
    expect(troubles).toContain('push.unreachable')
    expect(unacked).toBe(0)
  }
  await expectStored(
    server,
    'cut',
    results.map(({ sent }) => sent),
  )
})

test('a token that ends is replaced before its end, without an error', async () => {
  const target = { url: server.url, tokenUrl: `${site.url}/token` }
  const results = await both<Trickled>('token', target, 'trickle', { forMs: 2 * TOKEN_MS })

  for (const { tokens, troubles } of results) {
    expect(tokens).toBeGreaterThan(1)
    expect(troubles).toEqual([])
  }
  await expectStored(
    server,
    'token',
    results.map(({ sent }) => sent),
  )
})

test('a connection at its age limit is drained, and the stream moves on without an error', async () => {
  const results = await both<Trickled>('drain', { url: shortLived.url }, 'trickle', { forMs: 3500 })

  for (const { tokens, troubles } of results) {
    expect(tokens).toBeGreaterThan(2)
    expect(troubles).toEqual([])
  }
  await expectStored(
    shortLived,
    'drain',
    results.map(({ sent }) => sent),
  )
})

test('what a stream could not get acknowledged is handed back, and another stream goes on with it', async () => {
  const options = { count: 50, freezeUrl: `${site.url}/freeze`, thawUrl: `${site.url}/thaw` }
  // One after the other: there is one network to stand still.
  for (const place of ['page', 'node'] as const)
    expect(await run(place, 'still', { url: proxy.url }, 'standStill', options)).toEqual({
      failure: 'push.unacknowledged',
      left: upTo(50).slice(1),
      after: 0,
    })

  await expectStored(server, 'still', [50, 50])
})

test('a wrong token is told as such, though a browser cannot see the status of a refused upgrade', async () => {
  const results = await both('refused', { url: server.url }, 'refused')

  expect(results).toEqual(Array(2).fill({ code: 'push.unauthenticated', retryable: false }))
})

interface Trickled {
  sent: number
  tokens: number
  troubles: string[]
  unacked: number
}

/** The page, the package as built, and what a scenario asks for: fresh tokens, and a network that stands still. */
async function serveSite({ folder, project }: BuiltPackage) {
  const html = `<!doctype html><script type="importmap">
    {"imports": {"@lakeflow/zerobus": "/package/dist/browser.js"}}
  </script>`
  const token = () =>
    new SignJWT({ lakeflow_push: grants })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer('https://id.example')
      .setAudience('zerobus')
      .setSubject('page')
      .setExpirationTime(new Date(Date.now() + TOKEN_MS))
      .sign(new TextEncoder().encode(secret))
  const site = createServer(async ({ url = '/' }, response) => {
    if (url === '/freeze') proxy.freeze()
    if (url === '/thaw') proxy.thaw()
    if (url === '/token') return response.end(await token())
    const file = url.startsWith('/package/') ? join(folder, url.slice('/package'.length)) : join(project, url)
    if (!/\.m?js$/.test(url)) return response.setHeader('content-type', 'text/html').end(html)
    createReadStream(file).pipe(response.setHeader('content-type', 'text/javascript'))
  })
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(site.address() as AddressInfo).port}`, server: site }
}
