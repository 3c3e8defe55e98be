import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { asIngestError, type ErrorCode, IngestError } from '../../shared/core/errors.ts'
import { authorize, type Principal } from '../../shared/push/auth.ts'
import { type Encoding, errorFrame } from '../../shared/push/frames.ts'
import { decompress } from '../../shared/push/payload.ts'
import { arrayToLines, countRecords } from '../../shared/push/records.ts'
import { beginSession, sessionOfKey } from '../../shared/push/stored-sessions.ts'
import type { PushContext } from './context.ts'

interface DoorSession {
  id: string
  /** The offset of the next record. */
  next: number
  /** With a key: how much of it is in the table already. */
  committed: number
}

const PATH = /^\/zerobus\/v1\/tables\/([A-Za-z0-9_]{1,128}(?:\.[A-Za-z0-9_]{1,128}){2})\/insert$/
const KEY_TTL_MS = 24 * 3600_000
const OPEN_ARRAY = 91

/**
 * `POST /zerobus/v1/tables/{catalog.schema.table}/insert`: docs/protocol.md, "The HTTP door". Requests without a key are
 * numbered in one session of this process a table.
 */
export function httpDoor(
  context: PushContext,
  authenticate: (request: IncomingMessage) => Promise<Principal>,
): (request: IncomingMessage, response: ServerResponse) => void {
  const sessions = new Map<string, Promise<DoorSession>>()

  function ownSession(table: string): Promise<DoorSession> {
    const known =
      sessions.get(table) ?? beginSession(table, 'http', context).then(({ id }) => ({ id, next: 0, committed: 0 }))
    sessions.set(table, known)
    known.catch(() => sessions.delete(table))
    return known
  }

  async function insert(request: IncomingMessage, table: string) {
    const principal = await authenticate(request)
    authorize(principal, 'write', table)
    await context.openTable(table, { create: false })
    const encoding = encodingOf(request)
    const body = await readBody(request, context.settings.limits.messageBytes)
    const raw = decompress(body, encoding, context.settings.limits.batchBytes)
    const isArray = raw[firstNonBlank(raw)] === OPEN_ARRAY
    const rows = isArray ? arrayToLines(raw) : raw
    const count = countRecords(rows)
    if (count === 0) return {}
    await new Promise((resolve) => setTimeout(resolve, context.charge(principal, body.length)))
    while (context.window().bytes === 0) await new Promise((resolve) => setTimeout(resolve, 10))

    const batch = isArray ? { count, encoding: 'none' as const, body: rows } : { count, encoding, body }
    const key = request.headers['idempotency-key']
    const session = typeof key === 'string' ? await keyed(table, principal, key, body) : await ownSession(table)
    if (session.committed >= count) return {}
    const offset = session.next
    session.next += count
    try {
      const receipt = await context.receive(table, { ...batch, session: session.id, offset })
      if (receipt.rejectedRanges.length === 0) return {}
      return {
        rejectedRanges: receipt.rejectedRanges.map(([from, to]) => [from - offset, to - offset]),
        rejected: receipt.rejected.map((rejection) => ({ ...rejection, offset: rejection.offset - offset })),
      }
    } catch (error) {
      // The offsets of this request stay unused. A new session keeps the gap from standing between later ones and "committed".
      sessions.delete(table)
      throw error
    }
  }

  async function keyed(table: string, principal: Principal, key: string, body: Uint8Array): Promise<DoorSession> {
    if (key.length > 200) throw new IngestError('push.frame_invalid', 'the Idempotency-Key is over 200 characters')
    const digest = createHash('sha256').update(body).digest('base64url')
    const id = `http-${createHash('sha256').update(`${principal.subject}\n${key}`).digest('base64url')}`
    const session = await sessionOfKey(table, { id, subject: principal.subject, digest, ttlMs: KEY_TTL_MS }, context)
    return { id, next: 0, committed: session.committed }
  }

  return (request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    const table = PATH.exec(path)?.[1]
    if (!table || request.method !== 'POST') return answer(response, table ? 405 : 404, { error: detailOf(elsewhere) })
    insert(request, table).then(
      (result) => answer(response, 200, result),
      (cause) => {
        const error = asIngestError(cause)
        answer(response, statusOf(error.code, error.remedy), { error: detailOf(error) })
      },
    )
  }
}

/** What is left of the request's body is read and dropped by then: a producer that still sends would not see the answer. */
function answer(response: ServerResponse, status: number, body: unknown) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function detailOf(error: IngestError) {
  const { type: _, ...detail } = errorFrame(error)
  return detail
}

const elsewhere = new IngestError(
  'push.frame_invalid',
  'there is nothing here; POST to /zerobus/v1/tables/{catalog.schema.table}/insert',
)

function statusOf(code: ErrorCode, remedy: string): number {
  if (code === 'push.unauthenticated') return 401
  if (code === 'push.not_permitted') return 403
  if (code === 'push.too_large') return 413
  if (code === 'push.quota_exceeded') return 429
  if (remedy === 'retry') return 503
  return code === 'bug.invariant' ? 500 : 400
}

function encodingOf(request: IncomingMessage): Encoding {
  const encoding = request.headers['content-encoding'] ?? 'identity'
  if (encoding === 'identity') return 'none'
  if (encoding === 'gzip' || encoding === 'zstd') return encoding
  throw new IngestError('push.frame_invalid', `content-encoding ${encoding} is not known; use gzip, zstd or none`)
}

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
    request.on('error', () => reject(new IngestError('push.frame_invalid', 'the request ended before its body did')))
  })
}

function firstNonBlank(bytes: Uint8Array): number {
  return bytes.findIndex((byte) => byte !== 32 && byte !== 9 && byte !== 10 && byte !== 13)
}
