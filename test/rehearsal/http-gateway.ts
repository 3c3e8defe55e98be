import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { bodyOf, within } from './socket-gateway.ts'

/** The functions behind an HTTP API. */
export interface HttpRoutes {
  /** Route keys, as `POST /a/{b}`, and the function behind each; it resolves to the Lambda's reply or rejects. */
  routes: ReadonlyMap<string, (event: unknown) => Promise<{ statusCode: number; body?: string }>>
  authorize(event: unknown): Promise<{ isAuthorized: boolean; context?: Record<string, unknown> }>
}

export interface HttpGateway extends AsyncDisposable {
  url: string
}

/** API Gateway's quotas of an HTTP API. */
const MAX_BODY_BYTES = 10 << 20
const INTEGRATION_MS = 30_000
/** As the template says: the authorizer is not asked again for the same header. */
const AUTHORIZED_MS = 60_000

/**
 * Listens with API Gateway's rules for an HTTP API: the authorizer's simple answer, kept a minute; bodies of 10 MB, handed on in
 * base64 unless their type is a text; path parameters; 503 when the function fails.
 */
export async function startHttpGateway({ routes, authorize }: HttpRoutes): Promise<HttpGateway> {
  const known = new Map<string, { answer: ReturnType<HttpRoutes['authorize']>; untilMs: number }>()
  const patterns = [...routes].map(([key, call]) => {
    const [method, path] = key.split(' ') as [string, string]
    return { method, pattern: new RegExp(`^${path.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`), call }
  })

  function authorized(authorization: string, event: unknown): ReturnType<HttpRoutes['authorize']> {
    const cached = known.get(authorization)
    if (cached && cached.untilMs > Date.now()) return cached.answer
    const answer = authorize(event)
    known.set(authorization, { answer, untilMs: Date.now() + AUTHORIZED_MS })
    answer.catch(() => known.delete(authorization))
    return answer
  }

  async function answer(request: IncomingMessage): Promise<{ statusCode: number; body?: string }> {
    const path = request.url!.split('?')[0]!
    const route = patterns.find(({ method, pattern }) => method === request.method && pattern.test(path))
    if (!route) return said(404, 'Not Found')
    const { authorization } = request.headers
    if (!authorization) return said(401, 'Unauthorized')
    const body = await bodyOf(request)
    if (body.length > MAX_BODY_BYTES) return said(413, 'Request Too Long')
    const isText = /^(text\/|application\/(json|xml|javascript))/.test(request.headers['content-type'] ?? '')
    const isBase64Encoded = body.length > 0 && !isText
    const groups = Object.entries(route.pattern.exec(path)!.groups ?? {})
    const base = {
      version: '2.0',
      headers: request.headers,
      pathParameters: Object.fromEntries(groups.map(([name, value]) => [name, decodeURIComponent(value)])),
    }
    const { isAuthorized, context } = await authorized(authorization, base)
    if (!isAuthorized) return said(403, 'Forbidden')
    return within(
      INTEGRATION_MS,
      route.call({
        ...base,
        body: body.toString(isBase64Encoded ? 'base64' : 'utf8'),
        isBase64Encoded,
        requestContext: { authorizer: { lambda: context } },
      }),
    )
  }

  const server = createServer(async (request, response) => {
    const { statusCode, body } = await answer(request).catch(() => said(503, 'Service Unavailable'))
    response.writeHead(statusCode, { 'content-type': 'application/json' }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const said = (statusCode: number, message: string) => ({ statusCode, body: JSON.stringify({ message }) })
