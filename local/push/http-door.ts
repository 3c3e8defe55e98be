import type { IncomingMessage, ServerResponse } from 'node:http'
import { asIngestError, IngestError } from '../../shared/core/errors.ts'
import { authorize, type Principal } from '../../shared/push/auth.ts'
import { createInserts, insertError } from '../../shared/push/insert.ts'
import { byteRoom } from './byte-room.ts'
import type { PushContext } from './context.ts'

const PATH = /^\/zerobus\/v1\/tables\/([A-Za-z0-9_]{1,128}(?:\.[A-Za-z0-9_]{1,128}){2})\/insert$/

/** `POST /zerobus/v1/tables/{catalog.schema.table}/insert`: docs/protocol.md, "The HTTP door". */
export function httpDoor(
  context: PushContext,
  authenticate: (request: IncomingMessage) => Promise<Principal>,
): (request: IncomingMessage, response: ServerResponse) => void {
  const insert = createInserts({
    ...context,
    limits: context.settings.limits,
    async ready(principal, bytes) {
      await sleep(context.charge(principal, bytes))
      while (context.window().bytes === 0) await sleep(10)
    },
    receive: (table, batch) => context.receive(table, batch),
  })

  const { messageBytes } = context.settings.limits
  // Decompressed, and made from an array to lines, a body is four times as large as it came at most.
  const room = byteRoom(context.settings.memoryBytes / 4)

  async function take(request: IncomingMessage, table: string) {
    const principal = await authenticate(request)
    authorize(principal, 'write', table)
    await context.openTable(table, { create: false })
    const key = request.headers['idempotency-key']
    const contentEncoding = request.headers['content-encoding']
    const bytes = Math.min(Number(request.headers['content-length'] ?? messageBytes), messageBytes)
    // Bodies that have to wait do so in the network: while the server is behind, any number of requests may come.
    return room.within(bytes, async () =>
      insert({
        table,
        principal,
        body: await readBody(request, messageBytes),
        contentEncoding,
        idempotencyKey: typeof key === 'string' ? key : undefined,
      }),
    )
  }

  return (request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    const table = PATH.exec(path)?.[1]
    if (!table) return answer(response, 404, json, insertError(elsewhere).body)
    if (request.method !== 'POST') return answer(response, 405, { ...json, allow: 'POST' }, insertError(elsewhere).body)
    take(request, table).then(
      (result) => answer(response, 200, json, result),
      (cause) => {
        const { status, headers, body } = insertError(asIngestError(cause))
        answer(response, status, headers, body)
      },
    )
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** What is left of the request's body is read and dropped by then: a producer that still sends would not see the answer. */
function answer(response: ServerResponse, status: number, headers: Record<string, string>, body: unknown) {
  response.writeHead(status, headers).end(JSON.stringify(body))
}

const json = { 'content-type': 'application/json' }

const elsewhere = new IngestError(
  'push.frame_invalid',
  'there is nothing here; POST to /zerobus/v1/tables/{catalog.schema.table}/insert',
)

function readBody(request: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= maxBytes) return chunks.push(chunk)
      chunks.length = 0
      reject(new IngestError('push.too_large', `the body is over ${maxBytes} bytes; send smaller ones`))
    })
    request.on('end', () => resolve(Buffer.concat(chunks)))
    const cut = () => reject(new IngestError('push.frame_invalid', 'the request ended before its body did'))
    request.on('error', cut)
    // It may have ended before anybody listened.
    if (request.destroyed) cut()
    request.on('close', cut)
  })
}
