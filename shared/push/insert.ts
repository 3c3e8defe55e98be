import { createHash } from 'node:crypto'
import { IngestError } from '../core/errors.ts'
import { authorize, type Principal } from './auth.ts'
import type { IngestBatch, Receipt } from './batch.ts'
import { type Encoding, errorFrame } from './frames.ts'
import { decompress, type PushLimits } from './payload.ts'
import { arrayToLines, countRecords } from './records.ts'
import { keptRejections, type Rejected } from './stored-rejections.ts'
import { beginSession, type SessionPorts, sessionOfKey } from './stored-sessions.ts'

/** One request of the HTTP door: docs/protocol.md, "The HTTP door". */
export interface InsertRequest {
  table: string
  principal: Principal
  contentEncoding: string | undefined
  idempotencyKey: string | undefined
  body: Uint8Array
}

export interface InsertPorts extends SessionPorts {
  limits: PushLimits
  /** Holds the request back while the token is over its quota, or the server is behind. */
  ready(principal: Principal, bytes: number): Promise<void>
  receive(table: string, batch: IngestBatch): Promise<Receipt>
}

interface DoorSession {
  id: string
  /** The offset of the next record. */
  next: number
  /** With a key: how much of it is in the table already, and the columns by which records of it were left out before. */
  committed: number
  schemaVersion?: number
}

const KEY_TTL_MS = 24 * 3600_000
const OPEN_ARRAY = 91

/**
 * Takes requests of records, and answers with those left out, their offsets counted in the request. Requests without a key are
 * numbered in one session of this process a table. A repeated key gets the same answer.
 *
 * @throws IngestError of push; nothing of the request is durable then, or it is unknown
 */
export function createInserts(ports: InsertPorts): (request: InsertRequest) => Promise<Rejected> {
  const sessions = new Map<string, Promise<DoorSession>>()

  function ownSession(table: string): Promise<DoorSession> {
    const known =
      sessions.get(table) ?? beginSession(table, 'http', ports).then(({ id }) => ({ id, next: 0, committed: 0 }))
    sessions.set(table, known)
    known.catch(() => sessions.delete(table))
    return known
  }

  async function keyed({ table, principal, body }: InsertRequest, key: string): Promise<DoorSession> {
    if (key === '' || key.length > 200)
      throw new IngestError('push.frame_invalid', `the Idempotency-Key has ${key.length} characters, wanted 1 to 200`)
    const digest = createHash('sha256').update(body).digest('base64url')
    const keyOfSubject = createHash('sha256').update(`${principal.subject}\n${key}`).digest('base64url')
    const request = { key: keyOfSubject, digest, ttlMs: KEY_TTL_MS }
    const { id, committed } = await sessionOfKey(table, request, ports)
    const kept = await keptRejections(id, 0, Number.MAX_SAFE_INTEGER, ports)
    // What was told before holds, whatever the columns are by now.
    return { id, next: 0, committed, ...(kept && { schemaVersion: kept.schemaVersion }) }
  }

  return async (request) => {
    const { table, principal, idempotencyKey } = request
    authorize(principal, 'write', table)
    const batch = batchOf(request, ports.limits)
    if (batch.count === 0) return {}
    await ports.ready(principal, request.body.length)
    const session = idempotencyKey === undefined ? await ownSession(table) : await keyed(request, idempotencyKey)
    const { schemaVersion } = session
    if (session.committed >= batch.count) return answerOf(await keptRejections(session.id, 0, batch.count, ports), 0)
    const offset = session.next
    session.next += batch.count
    try {
      const versioned = schemaVersion === undefined ? batch : { ...batch, schemaVersion }
      return answerOf(await ports.receive(table, { ...versioned, session: session.id, offset }), offset)
    } catch (error) {
      // The offsets of this request stay unused. A new session keeps the gap from standing between later ones and "committed".
      sessions.delete(table)
      throw error
    }
  }
}

function answerOf(left: Pick<Receipt, 'rejectedRanges' | 'rejected'> | undefined, offset: number): Rejected {
  if (!left || left.rejectedRanges.length === 0) return {}
  return {
    rejectedRanges: left.rejectedRanges.map(([from, to]) => [from - offset, to - offset]),
    rejected: left.rejected.map((rejection) => ({ ...rejection, offset: rejection.offset - offset })),
  }
}

/** Status, headers and body that tell an error. */
export function insertError(error: IngestError): { status: number; headers: Record<string, string>; body: unknown } {
  const { type: _, ...detail } = errorFrame(error)
  const status = statusOf(error)
  const headers = {
    'content-type': 'application/json',
    ...(status === 401 && { 'www-authenticate': 'Bearer' }),
    ...(error.retryAfterMs !== undefined && { 'retry-after': `${Math.ceil(error.retryAfterMs / 1000)}` }),
  }
  return { status, headers, body: { error: detail } }
}

function statusOf({ code, remedy }: IngestError): number {
  if (code === 'push.unauthenticated') return 401
  if (code === 'push.not_permitted') return 403
  if (code === 'push.too_large') return 413
  if (code === 'push.quota_exceeded') return 429
  if (remedy === 'retry') return 503
  return code === 'bug.invariant' ? 500 : 400
}

/** The body is a JSON array of objects, or NDJSON, which stays as it came. */
function batchOf({ body, contentEncoding }: InsertRequest, limits: PushLimits) {
  const encoding = encodingOf(contentEncoding)
  const raw = decompress(body, encoding, limits.batchBytes)
  checkIsText(raw)
  const isArray = raw[firstNonBlank(raw)] === OPEN_ARRAY
  const rows = isArray ? arrayToLines(raw) : raw
  const count = countRecords(rows)
  return isArray ? { count, encoding: 'none' as const, body: rows } : { count, encoding, body }
}

function encodingOf(header = 'identity'): Encoding {
  const encoding = header.trim().toLowerCase()
  if (encoding === 'identity' || encoding === '') return 'none'
  if (encoding === 'gzip' || encoding === 'zstd') return encoding
  throw new IngestError('push.frame_invalid', `content-encoding ${encoding} is not known; use gzip, zstd or none`)
}

/** Compressed or UTF-16 bytes would be told as that many records that do not fit. */
function checkIsText(raw: Uint8Array) {
  const starts = (bytes: readonly number[]) => bytes.every((byte, i) => raw[i] === byte)
  const found = starts([0x1f, 0x8b])
    ? 'gzip: say so by the header content-encoding: gzip'
    : starts([0x28, 0xb5, 0x2f, 0xfd])
      ? 'zstd: say so by the header content-encoding: zstd'
      : starts([0xff, 0xfe]) || starts([0xfe, 0xff])
        ? 'UTF-16: send UTF-8'
        : undefined
  if (found) throw new IngestError('push.frame_invalid', `the body is ${found}`)
}

function firstNonBlank(bytes: Uint8Array): number {
  return bytes.findIndex((byte) => byte !== 32 && byte !== 9 && byte !== 10 && byte !== 13)
}
