import { createServer, request as forward, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** An answer of AWS instead of doing what was asked; undefined lets the request pass. */
export type Fault = (call: { target: string; body: string }) => { status: number; type: string } | undefined

export interface FaultyEndpoint extends AsyncDisposable {
  url: string
  /** How often each fault was answered, by its type. */
  answered: ReadonlyMap<string, number>
}

/** Stands before an emulated account and answers some calls with an error of AWS, which then have not been done. */
export async function startFaultyEndpoint(target: string, fault: Fault): Promise<FaultyEndpoint> {
  const answered = new Map<string, number>()
  const server = createServer(async (request, response) => {
    const body = await bodyOf(request)
    const call = { target: String(request.headers['x-amz-target'] ?? ''), body: body.toString('latin1') }
    const answer = fault(call)
    if (answer) {
      answered.set(answer.type, (answered.get(answer.type) ?? 0) + 1)
      const type = `com.amazonaws.dynamodb.v20120810#${answer.type}`
      response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.0' })
      return response.end(JSON.stringify({ __type: type, message: 'injected by the rehearsal' }))
    }
    const passed = forward(`${target}${request.url}`, { method: request.method, headers: request.headers }, (reply) => {
      response.writeHead(reply.statusCode ?? 500, reply.headers)
      reply.pipe(response)
    })
    passed.on('error', () => response.destroy())
    passed.end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answered,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
