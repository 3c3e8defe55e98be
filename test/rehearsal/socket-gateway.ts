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
  /** The headers without which the authorizer is not even asked: `route.request.header.<name>` of its template. */
  identityHeaders: readonly string[]
  authorize(
    event: unknown,
  ): Promise<{ context?: Record<string, unknown>; policyDocument?: unknown; principalId?: string }>
  connect(event: unknown): Promise<{ statusCode: number; headers?: Record<string, string> }>
  message(event: unknown): Promise<{ statusCode: number; body?: string }>
  disconnect(event: unknown): Promise<unknown>
}

/** A socket server with API Gateway's rules, while it runs. */
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
 * Listens with API Gateway's rules: text only (1003), 32 KB frames and 128 KB messages (1009), an authorizer and `$connect`
 * before the upgrade, the protocol that `$connect` chose, the reply of `$default` as route response, integration time-out, idle and total
 * connection limits, and the `@connections` API with 410 for whom is gone.
 */
export async function startGateway(routes: Routes, limits: GatewayLimits = gatewayLimits): Promise<Gateway> {
  const connections = new Map<
    string,
    { socket: WebSocket; connectedAt: number; lastActiveAt: number; identity: unknown }
  >()
  /** What `$connect` answered, by request: only that protocol is agreed on. */
  const chosen = new WeakMap<IncomingMessage, string>()
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: limits.maxMessageBytes,
    perMessageDeflate: false,
    handleProtocols: (_offered, request) => chosen.get(request) ?? false,
  })

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
      if (routes.identityHeaders.some((name) => !request.headers[name.toLowerCase()])) return refuse('401 Unauthorized')
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
      const texts = Object.values(identity.context ?? {}).every((value) => typeof value !== 'object')
      if (!texts) return refuse('500 Internal Server Error')
      const authorizer = { ...identity.context, principalId: identity.principalId }
      const opened = await routes.connect({ ...base, requestContext: { ...base.requestContext, authorizer } })
      if (opened.statusCode >= 300) return refuse(`${opened.statusCode} Refused`)
      const protocol = opened.headers?.['Sec-WebSocket-Protocol']
      if (protocol) chosen.set(request, protocol)
      sockets.handleUpgrade(request, socket, head, (ws) => {
        const now = Date.now()
        const check = frameSizes((bytes) => {
          if (bytes > limits.maxFrameBytes) ws.close(1009, 'A frame is over 32 KB')
        })
        socket.on('data', check)
        connections.set(id, { socket: ws, connectedAt: now, lastActiveAt: now, identity: authorizer })
        serve(id, ws)
      })
    } catch (error) {
      refuse((error as Error).message === 'Unauthorized' ? '401 Unauthorized' : '500 Internal Server Error')
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
      domainName: `127.0.0.1:${port}`,
      requestId: randomUUID(),
      requestTimeEpoch: Date.now(),
      connectedAt: connections.get(connectionId)?.connectedAt ?? Date.now(),
    }
  }
}

/** Tells the payload length of each WebSocket frame that passes (RFC 6455, "Base Framing Protocol"). */
function frameSizes(onFrame: (bytes: number) => void): (chunk: Buffer) => void {
  let header = Buffer.alloc(0)
  let skip = 0
  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      const skipped = Math.min(skip, chunk.length - at)
      skip -= skipped
      at += skipped
      if (at === chunk.length) return
      header = Buffer.concat([header, chunk.subarray(at, at + 1)])
      at++
      const size = headerSize(header)
      if (header.length < size) continue
      const short = header[1]! & 127
      const bytes = short === 126 ? header.readUInt16BE(2) : short === 127 ? Number(header.readBigUInt64BE(2)) : short
      onFrame(bytes)
      skip = bytes
      header = Buffer.alloc(0)
    }
  }
}

function headerSize(header: Buffer): number {
  if (header.length < 2) return 2
  const length = header[1]! & 127
  return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + (header[1]! & 128 ? 4 : 0)
}

/** The whole body of a request. */
export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** The work's result, or a rejection when it takes longer: an integration's time-out. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('integration timed out')), ms)
  })
  return Promise.race([work, timeout]).finally(() => clearTimeout(timer))
}
