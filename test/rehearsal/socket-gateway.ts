import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'

/** API Gateway's WebSocket quotas; the times may be shortened for a test. */
export interface GatewayLimits {
  maxFrameBytes: number
  maxMessageBytes: number
  idleMs: number
  connectionMs: number
  integrationMs: number
}

export const gatewayLimits: GatewayLimits = {
  maxFrameBytes: 32 * 1024,
  maxMessageBytes: 128 * 1024,
  idleMs: 600_000,
  connectionMs: 7_200_000,
  integrationMs: 29_000,
}

/** The functions behind the routes; each resolves to the Lambda's reply or rejects. */
export interface Routes {
  authorize(
    event: unknown,
  ): Promise<{ context?: Record<string, unknown>; policyDocument?: unknown; principalId?: string }>
  connect(event: unknown): Promise<{ statusCode: number }>
  message(event: unknown): Promise<{ statusCode: number; body?: string }>
  disconnect(event: unknown): Promise<unknown>
}

export interface Gateway {
  /** Where producers connect. */
  url: string
  /** Where functions post to `@connections`. */
  managementUrl: string
  /** Cuts every connection, as a maintenance event would. */
  cutAll(): void
  close(): Promise<void>
}

/**
 * A socket server with API Gateway's rules: text only (1003), 32 KB frames and 128 KB messages (1009), an authorizer and
 * `$connect` before the upgrade, the reply of `$default` as route response, integration time-out, idle and total
 * connection limits, and the `@connections` API with 410 for whom is gone.
 */
export async function startGateway(routes: Routes, limits: GatewayLimits = gatewayLimits): Promise<Gateway> {
  const connections = new Map<
    string,
    { socket: WebSocket; connectedAt: number; lastActiveAt: number; identity: unknown }
  >()
  const sockets = new WebSocketServer({ noServer: true, maxPayload: limits.maxMessageBytes, perMessageDeflate: false })

  const server = createServer(async (request, response) => {
    const id = decodeURIComponent(/^\/v1\/@connections\/([^/?]+)/.exec(request.url ?? '')?.[1] ?? '')
    const connection = connections.get(id)
    if (!connection) return response.writeHead(410, { 'x-amzn-ErrorType': 'GoneException' }).end('{"message":"Gone"}')
    if (request.method === 'DELETE') {
      connection.socket.close(1000)
      return response.writeHead(204).end()
    }
    const body = await bodyOf(request)
    if (body.length > limits.maxMessageBytes) return response.writeHead(413).end()
    connection.socket.send(body.toString('utf8'))
    return response.writeHead(200).end()
  })

  server.on('upgrade', async (request, socket, head) => {
    const refuse = (status: string) =>
      socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
    try {
      const id = randomUUID()
      const url = new URL(request.url ?? '/', 'ws://gateway')
      if (!request.headers.authorization) return refuse('401 Unauthorized')
      const base = {
        headers: request.headers,
        queryStringParameters: Object.fromEntries(url.searchParams),
        requestContext: { ...contextOf(id), routeKey: '$connect', eventType: 'CONNECT' },
      }
      const identity = await routes.authorize({
        ...base,
        type: 'REQUEST',
        methodArn: 'arn:aws:execute-api:us-east-1:123456789012:api/v1/$connect',
      })
      if (!JSON.stringify(identity.policyDocument ?? {}).includes('"Allow"')) return refuse('403 Forbidden')
      const authorizer = { ...identity.context, principalId: identity.principalId }
      const opened = await routes.connect({ ...base, requestContext: { ...base.requestContext, authorizer } })
      if (opened.statusCode >= 300) return refuse(`${opened.statusCode} Refused`)
      sockets.handleUpgrade(request, socket, head, (ws) => {
        const now = Date.now()
        connections.set(id, { socket: ws, connectedAt: now, lastActiveAt: now, identity: authorizer })
        serve(id, ws)
      })
    } catch {
      // A Deny by throwing, or a broken integration: API Gateway answers the same way.
      refuse('500 Internal Server Error')
    }
  })

  function serve(id: string, ws: WebSocket) {
    const connection = connections.get(id)!
    ws.on('message', async (data: Buffer, isBinary) => {
      if (isBinary) return ws.close(1003, 'Binary is not supported')
      connection.lastActiveAt = Date.now()
      const reply = await within(
        limits.integrationMs,
        routes.message({
          body: data.toString('utf8'),
          isBase64Encoded: false,
          requestContext: {
            ...contextOf(id),
            routeKey: '$default',
            eventType: 'MESSAGE',
            authorizer: connection.identity,
          },
        }),
      ).catch(() => undefined)
      const requestId = randomUUID()
      if (ws.readyState !== WebSocket.OPEN) return
      if (!reply) ws.send(JSON.stringify({ message: 'Internal server error', connectionId: id, requestId }))
      else if (reply.body) ws.send(reply.body)
    })
    ws.on('error', () => ws.terminate())
    ws.on('close', () => {
      connections.delete(id)
      const requestContext = {
        ...contextOf(id),
        routeKey: '$disconnect',
        eventType: 'DISCONNECT',
        authorizer: connection.identity,
      }
      routes.disconnect({ requestContext }).catch(() => undefined)
    })
  }

  const clock = setInterval(() => {
    const now = Date.now()
    for (const { socket, connectedAt, lastActiveAt } of connections.values()) {
      if (now - lastActiveAt > limits.idleMs || now - connectedAt > limits.connectionMs)
        socket.close(1001, 'Going away')
    }
  }, 50)

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `ws://127.0.0.1:${port}/v1`,
    managementUrl: `http://127.0.0.1:${port}/v1`,
    cutAll: () => {
      for (const { socket } of connections.values()) socket.terminate()
    },
    close: async () => {
      clearInterval(clock)
      for (const { socket } of connections.values()) socket.terminate()
      await new Promise((resolve) => server.close(resolve))
    },
  }

  function contextOf(connectionId: string) {
    return {
      connectionId,
      stage: 'v1',
      domainName: `127.0.0.1:${(server.address() as AddressInfo).port}`,
      requestId: randomUUID(),
      requestTimeEpoch: Date.now(),
    }
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('integration timed out')), ms)
  })
  return Promise.race([work, timeout]).finally(() => clearTimeout(timer))
}
