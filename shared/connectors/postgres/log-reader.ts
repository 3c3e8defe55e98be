import type pg from 'pg'
import { IngestError } from '../../core/errors.ts'
import { dialect } from './dialect.ts'
import { translate } from './errors.ts'
import { type Lsn, lsnAt } from './lsn.ts'
import type { Sessions } from './session.ts'

export interface LogRange {
  slot: string
  publication: string
  /** Transactions that were committed before this place are left out. */
  from: Lsn
  /** Everything committed up to this place is read, and perhaps more. */
  upto: Lsn
}

/**
 * The messages of a slot, in order, without moving it: the same range can be read again until the slot is advanced.
 * Two ways to the same bytes: `streaming` speaks the replication protocol, begins where it is asked to and never holds
 * a transaction in the server's memory or ours; `sql` needs only an ordinary connection, such as one through a proxy,
 * but the server decodes everything since the slot's own place and keeps the answer in a temporary file.
 */
export const readLog = (sessions: Sessions, range: LogRange): AsyncGenerator<Buffer[], void, undefined> =>
  sessions.config.cdc_transport === 'sql' ? peek(sessions, range) : stream(sessions, range)

/** PostgreSQL documentation, COPY, "Binary Format": a header, then per row a count of fields, and per field a length. */
async function* peek(sessions: Sessions, range: LogRange): AsyncGenerator<Buffer[], void, undefined> {
  const text = dialect.text
  const sql = `select data from pg_logical_slot_peek_binary_changes(${text(range.slot)}, ${text(range.upto)}::pg_lsn, null,
    'proto_version', '1', 'publication_names', ${text(dialect.identifier(range.publication))})`
  let rest: Buffer = Buffer.alloc(0)
  let headed = false
  for await (const chunk of sessions.copy('read the log', sql, 'binary')) {
    const bytes = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk])
    let at = 0
    if (!headed) {
      if (bytes.length < 19) {
        rest = bytes
        continue
      }
      at = 19 + bytes.readInt32BE(15)
      headed = true
    }
    const messages: Buffer[] = []
    while (bytes.length - at >= 6) {
      const length = bytes.readInt32BE(at + 2)
      if (bytes.readInt16BE(at) !== 1 || bytes.length - at < 6 + length) break
      messages.push(bytes.subarray(at + 6, at + 6 + length))
      at += 6 + length
    }
    rest = bytes.subarray(at)
    if (messages.length > 0) yield messages
  }
}

/** How long the server may be silent about where it is, before it is asked again. */
const askAgainMs = 20

/** PostgreSQL documentation, "Streaming Replication Protocol". Our answers confirm nothing, so the slot stays. */
async function* stream(sessions: Sessions, range: LogRange): AsyncGenerator<Buffer[], void, undefined> {
  const what = 'read the log'
  const client = await sessions.open(what, { replication: 'database' } as pg.ClientConfig)
  const socket = client.connection.stream
  const queue: Buffer[] = []
  let queued = 0
  let failure: unknown
  let closed = false
  let wake: (() => void) | undefined
  const frames = new Frames()
  const onData = (chunk: Buffer) => {
    queue.push(chunk)
    queued += chunk.length
    if (queued > 4 << 20) socket.pause()
    wake?.()
  }
  const onClose = () => {
    closed = true
    wake?.()
  }
  const onError = (error: unknown) => {
    failure ??= error
    wake?.()
  }
  const abort = () => socket.destroy()
  // A reader that takes its time is not a dead one: the server gives up after wal_sender_timeout.
  const alive = setInterval(() => socket.write(statusUpdate()), 10_000)
  sessions.signal.addEventListener('abort', abort, { once: true })
  let timer: NodeJS.Timeout | undefined
  try {
    for (const listener of socket.listeners('data')) socket.removeListener('data', listener as () => void)
    socket.on('data', onData)
    socket.on('close', onClose)
    client.on('error', onError)
    const publication = dialect.identifier(range.publication).replaceAll("'", "''")
    const start = `START_REPLICATION SLOT ${dialect.identifier(range.slot)} LOGICAL ${range.from}
      (proto_version '1', publication_names '${publication}')`
    ;(client.connection as unknown as { query(sql: string): void }).query(start)

    for (let reached = range.from; reached < range.upto; ) {
      const chunk = queue.shift()
      if (!chunk) {
        if (failure || closed) throw failure ?? new Error('Connection terminated unexpectedly')
        await new Promise<void>((done) => {
          wake = done
        })
        continue
      }
      queued -= chunk.length
      if (queued < 1 << 20 && socket.isPaused()) socket.resume()
      const messages: Buffer[] = []
      for (const { type, body } of frames.take(chunk)) {
        if (type === 'E') throw serverError(body)
        if (type === 'W') socket.write(statusUpdate())
        if (type !== 'd') continue
        if (body[0] === 0x77) {
          messages.push(body.subarray(25))
        } else if (body[0] === 0x6b) {
          // Keepalive: everything before this place has been sent.
          reached = lsnAt(body, 1)
          if (reached < range.upto) {
            clearTimeout(timer)
            timer = setTimeout(() => socket.write(statusUpdate()), askAgainMs)
          }
        }
      }
      if (messages.length > 0) yield messages
    }
  } catch (error) {
    failure ??= error
    sessions.signal.throwIfAborted()
    throw translate(error, what)
  } finally {
    clearTimeout(timer)
    clearInterval(alive)
    if (!failure && !closed && !sessions.signal.aborted) await sayGoodbye(socket)
    sessions.signal.removeEventListener('abort', abort)
    await sessions.discard(client)
  }
}

/** CopyDone and Terminate: the server gives the slot free before it closes, so that the next reader finds it free. */
async function sayGoodbye(socket: pg.Connection['stream']): Promise<void> {
  const gone = new Promise<void>((done) => {
    socket.once('close', done)
    setTimeout(done, 5_000).unref()
  })
  socket.removeAllListeners('data')
  socket.on('data', () => {})
  socket.resume()
  socket.write(Buffer.from([0x63, 0, 0, 0, 4, 0x58, 0, 0, 0, 4]))
  await gone
}

/** Written, flushed and applied up to nothing, and please answer at once. */
function statusUpdate(): Buffer {
  const message = Buffer.alloc(1 + 4 + 34)
  message[0] = 0x64
  message.writeInt32BE(38, 1)
  message[5] = 0x72
  message[38] = 1
  return message
}

/** ErrorResponse: fields of one letter and a text each. */
function serverError(body: Buffer): Error {
  const fields = Object.fromEntries(
    body
      .toString('utf8')
      .split('\0')
      .filter((field) => field !== '')
      .map((field) => [field[0], field.slice(1)]),
  )
  return Object.assign(new Error(fields.M ?? 'unknown error'), { code: fields.C })
}

/** Cuts the socket's chunks into messages: a letter, a length that counts itself, a body. */
class Frames {
  #parts: Buffer[] = []
  #have = 0
  #need = 5

  take(chunk: Buffer): { type: string; body: Buffer }[] {
    this.#parts.push(chunk)
    this.#have += chunk.length
    if (this.#have < this.#need) return []
    const bytes = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts)
    const found: { type: string; body: Buffer }[] = []
    let at = 0
    this.#need = 5
    while (bytes.length - at >= 5) {
      const length = bytes.readInt32BE(at + 1)
      if (length < 4)
        throw new IngestError('source.protocol_violation', `a message of the server has the length ${length}`)
      if (bytes.length - at < 1 + length) {
        this.#need = 1 + length
        break
      }
      found.push({ type: String.fromCharCode(bytes[at]!), body: bytes.subarray(at + 5, at + 1 + length) })
      at += 1 + length
    }
    this.#parts = at < bytes.length ? [bytes.subarray(at)] : []
    this.#have = bytes.length - at
    return found
  }
}
