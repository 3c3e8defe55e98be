import type { SecureContextOptions } from 'node:tls'
import mysql, { type Connection, type ConnectionOptions, type RowDataPacket } from 'mysql2'
import { rootCertificate } from '../../connector/sql/root-certificate.ts'
import { unlessAborted } from '../../connector/sql/unless-aborted.ts'
import type { Clock } from '../../core/clock.ts'
import type { MysqlConfig } from './config.ts'
import { type Cell, copyRows } from './copy-rows.ts'
import { translate } from './errors.ts'
import { type Server, serverOf } from './server.ts'
import { Wire } from './wire.ts'

/**
 * The form in which the server writes values: docs/connectors/mysql.md ("Types") builds on it. A session reads only, so
 * that no mistake of ours can change a source.
 */
const settings = [
  'set names utf8mb4',
  `set session time_zone = '+00:00', sql_mode = '', net_write_timeout = 600, group_concat_max_len = 1048576`,
  'set session transaction read only',
  'set session transaction isolation level repeatable read',
]

/** One open connection's sessions. At most as many as there are parallel readers; ended by `close`. */
export class Sessions {
  readonly config: MysqlConfig
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly #idle: Connection[] = []
  readonly #busy = new Set<Connection>()
  /** With sslmode `prefer`: what the server turned out to offer. */
  #encrypted: boolean
  #server: Promise<Server> | undefined

  constructor(config: MysqlConfig, run: { clock: Clock; signal: AbortSignal }) {
    this.config = config
    this.clock = run.clock
    this.signal = run.signal
    this.#encrypted = config.sslmode !== 'disable'
  }

  /** What kind of server this is and what it can do; asked once. */
  server(): Promise<Server> {
    this.#server ??= serverOf(this)
    this.#server.catch(() => {
      this.#server = undefined
    })
    return this.#server
  }

  /** The databases to look at; undefined means all. */
  get schemas(): readonly string[] | undefined {
    const { database, schemas } = this.config
    return database === undefined ? schemas : [...(schemas ?? []), database]
  }

  /** Rows of one query. `what` names the work in the user's words, for errors. 64-bit integers come as text. */
  query<Row extends object = Record<string, unknown>>(
    what: string,
    sql: string,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    return this.with(what, (client) => rowsOf<Row>(client, sql, values))
  }

  /** Several statements on one session, in order. Aborting ends the session, and the server the query. */
  async with<T>(what: string, work: (client: Connection) => Promise<T>): Promise<T> {
    this.signal.throwIfAborted()
    const client = await this.#take(what)
    try {
      const result = await unlessAborted(this.signal, () => work(client))
      this.#release(client)
      return result
    } catch (error) {
      this.discard(client)
      if (this.signal.aborted) throw this.signal.reason
      throw translate(error, what)
    }
  }

  /** The rows of a `select` as blocks of COPY text. Leaving the loop early ends the session. */
  async *copy(what: string, select: string, cells: readonly Cell[]): AsyncGenerator<Uint8Array, void, undefined> {
    this.signal.throwIfAborted()
    const client = await this.#take(what)
    const wire = new Wire(client)
    const abort = () => this.discard(client)
    this.signal.addEventListener('abort', abort, { once: true })
    let done = false
    try {
      yield* copyRows(wire, select, cells)
      done = true
    } catch (error) {
      this.signal.throwIfAborted()
      throw translate(error, what)
    } finally {
      this.signal.removeEventListener('abort', abort)
      if (done) {
        wire.handBack()
        this.#release(client)
      } else {
        wire.release()
        this.discard(client)
      }
    }
  }

  /** Rows of one query as the server sends them, so that memory does not grow with the answer. */
  async *rows(what: string, sql: string): AsyncGenerator<Record<string, unknown>, void, undefined> {
    this.signal.throwIfAborted()
    const client = await this.#take(what)
    const abort = () => this.discard(client)
    this.signal.addEventListener('abort', abort, { once: true })
    let done = false
    try {
      yield* client.query(sql).stream({ highWaterMark: 1000 }) as AsyncIterable<Record<string, unknown>>
      done = true
    } catch (error) {
      this.signal.throwIfAborted()
      throw translate(error, what)
    } finally {
      this.signal.removeEventListener('abort', abort)
      if (done) this.#release(client)
      else this.discard(client)
    }
  }

  /** A session for one purpose, such as reading the log. The caller gives it back with `discard`. */
  async open(what: string): Promise<Connection> {
    const client = await this.#connect(what)
    this.#busy.add(client)
    return client
  }

  /** Ends a session whatever it is doing. The server notices at the next bytes it sends. */
  discard(client: Connection): void {
    this.#busy.delete(client)
    client.destroy()
  }

  async close(): Promise<void> {
    for (const client of this.#busy) this.discard(client)
    await Promise.all(
      this.#idle.splice(0).map(
        (client) =>
          new Promise<void>((done) => {
            client.end(() => done())
          }),
      ),
    )
  }

  async #take(what: string): Promise<Connection> {
    const client = this.#idle.pop() ?? (await this.#connect(what))
    this.#busy.add(client)
    return client
  }

  #release(client: Connection): void {
    this.#busy.delete(client)
    this.#idle.push(client)
  }

  async #connect(what: string): Promise<Connection> {
    const { config } = this
    for (;;) {
      const client = mysql.createConnection(connectionOptions(config, this.#encrypted))
      try {
        await new Promise<void>((done, fail) => {
          client.once('error', fail)
          client.connect((error) => (error ? fail(error) : done()))
        })
        client.removeAllListeners('error')
        // An idle session that the server ends is found out by its next query.
        client.on('error', () => this.#forget(client))
        for (const statement of settings) await rowsOf(client, statement)
        return client
      } catch (error) {
        client.on('error', () => {})
        client.destroy()
        const refused = (error as { code?: string }).code === 'HANDSHAKE_NO_SSL_SUPPORT'
        if (!(refused && config.sslmode === 'prefer'))
          throw translate(error, `${what} on ${config.host}:${config.port}`)
        this.#encrypted = false
      }
    }
  }

  #forget(client: Connection): void {
    const index = this.#idle.indexOf(client)
    if (index >= 0) this.#idle.splice(index, 1)
  }
}

/** Rows of one statement on one session. */
export function rowsOf<Row extends object = Record<string, unknown>>(
  client: Connection,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  return new Promise((done, fail) => {
    client.query<RowDataPacket[]>(sql, [...values], (error, rows) => (error ? fail(error) : done(rows as never)))
  })
}

function connectionOptions(config: MysqlConfig, encrypted: boolean): ConnectionOptions {
  return {
    host: config.host,
    port: config.port,
    user: config.user,
    password: config.password,
    connectTimeout: config.connect_timeout_seconds * 1000,
    connectAttributes: { program_name: 'lakeflow-connect' },
    charset: 'utf8mb4',
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: true,
    enableKeepAlive: true,
    // A server must not ask for files of ours; commands have the plain form of every version.
    flags: ['-LOCAL_FILES', '-CLIENT_QUERY_ATTRIBUTES', '-SESSION_TRACK'],
    ...(encrypted && { ssl: tlsOptions(config) }),
  } as ConnectionOptions
}

function tlsOptions(config: MysqlConfig): SecureContextOptions & { rejectUnauthorized: boolean } {
  const ca = config.sslrootcert === undefined ? {} : { ca: rootCertificate(config.sslrootcert) }
  if (config.sslmode === 'verify-full') return { ...ca, rejectUnauthorized: true, verifyIdentity: true } as never
  const checked = config.sslmode === 'verify-ca' || (config.sslmode === 'require' && config.sslrootcert !== undefined)
  return { ...ca, rejectUnauthorized: checked }
}
