import type { ConnectionOptions } from 'node:tls'
import pg from 'pg'
import { rootCertificate } from '../../connector/sql/root-certificate.ts'
import { unlessAborted } from '../../connector/sql/unless-aborted.ts'
import type { Clock } from '../../core/clock.ts'
import type { PostgresConfig } from './config.ts'
import { CopyOut } from './copy-out.ts'
import { translate } from './errors.ts'

/**
 * The form in which the server writes values: docs/adding-a-connector.md ("Values") builds on it. A session reads only, so that
 * no mistake of ours can change a source.
 */
const settings = `set datestyle = 'ISO, YMD'; set intervalstyle = 'iso_8601'; set timezone = 'UTC';
  set bytea_output = 'hex'; set extra_float_digits = 1; set standard_conforming_strings = on; set statement_timeout = 0;
  set idle_in_transaction_session_timeout = 0; set default_transaction_read_only = on`

/** One open connection's sessions. At most as many as there are parallel readers; ended by `close`. */
export class Sessions {
  readonly config: PostgresConfig
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly #idle: pg.Client[] = []
  readonly #busy = new Set<pg.Client>()
  /** With sslmode `prefer`: what the server turned out to offer. */
  #encrypted: boolean

  constructor(config: PostgresConfig, run: { clock: Clock; signal: AbortSignal }) {
    this.config = config
    this.clock = run.clock
    this.signal = run.signal
    this.#encrypted = config.sslmode !== 'disable'
  }

  /** Rows of one query. `what` names the work in the user's words, for errors. Aborting cancels the query in the server. */
  query<Row extends object = Record<string, unknown>>(
    what: string,
    sql: string,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    return this.#use(what, async (client) => (await client.query<Row>(sql, [...values])).rows)
  }

  /** Rows of one query, fetched some thousands at a time, so that memory does not grow with the answer. */
  async *rows(
    what: string,
    sql: string,
    values: readonly unknown[] = [],
  ): AsyncGenerator<Record<string, unknown>, void, undefined> {
    const client = await this.#take(what)
    let done = false
    const abort = () => client.connection.stream.destroy()
    this.signal.addEventListener('abort', abort, { once: true })
    try {
      this.signal.throwIfAborted()
      await client.query('begin')
      await client.query(`declare reading no scroll cursor for ${sql}`, [...values])
      for (;;) {
        const { rows } = await client.query('fetch 5000 from reading')
        yield* rows
        if (rows.length < 5000) break
      }
      await client.query('commit')
      done = true
    } catch (error) {
      this.signal.throwIfAborted()
      throw translate(error, what)
    } finally {
      this.signal.removeEventListener('abort', abort)
      if (done) this.#release(client)
      else await this.#discard(client)
    }
  }

  /** Statements that write, each in its own transaction: for publications and slots, which only a user's wish makes. */
  async write(what: string, sql: string): Promise<void> {
    await this.#use(
      what,
      async (client) => {
        await client.query('set default_transaction_read_only = off')
        await client.query(sql)
      },
      true,
    )
  }

  /** The bytes of `COPY (select) TO STDOUT`. Leaving the loop early ends the query in the server. */
  async *copy(
    what: string,
    select: string,
    format: 'text' | 'binary' = 'text',
  ): AsyncGenerator<Uint8Array, void, undefined> {
    this.signal.throwIfAborted()
    const client = await this.#take(what)
    const copy = new CopyOut(`copy (${select}) to stdout${format === 'binary' ? ' (format binary)' : ''}`)
    const abort = () => client.connection.stream.destroy()
    this.signal.addEventListener('abort', abort, { once: true })
    try {
      client.query(copy as unknown as pg.Submittable)
      yield* copy
    } catch (error) {
      this.signal.throwIfAborted()
      throw translate(error, what)
    } finally {
      this.signal.removeEventListener('abort', abort)
      if (copy.ended) this.#release(client)
      else await this.#discard(client)
    }
  }

  async close(): Promise<void> {
    const all = [...this.#idle.splice(0), ...this.#busy]
    await Promise.allSettled(all.map((client) => (this.#busy.has(client) ? this.#discard(client) : client.end())))
  }

  /** A session for one purpose, such as holding a slot. The caller gives it back with `discard`. */
  async open(what: string, extra: pg.ClientConfig & { replication?: string } = {}): Promise<pg.Client> {
    const client = await this.#connect(what, extra)
    this.#busy.add(client)
    return client
  }

  async discard(client: pg.Client): Promise<void> {
    await this.#discard(client)
  }

  async #use<T>(what: string, work: (client: pg.Client) => Promise<T>, discard = false): Promise<T> {
    this.signal.throwIfAborted()
    const client = await this.#take(what)
    try {
      const result = await unlessAborted(this.signal, () => work(client))
      if (discard) await this.#discard(client)
      else this.#release(client)
      return result
    } catch (error) {
      await this.#discard(client)
      if (this.signal.aborted) throw this.signal.reason
      throw translate(error, what)
    }
  }

  async #take(what: string): Promise<pg.Client> {
    const client = this.#idle.pop() ?? (await this.#connect(what))
    this.#busy.add(client)
    return client
  }

  #release(client: pg.Client): void {
    this.#busy.delete(client)
    this.#idle.push(client)
  }

  /** Ends a session whatever it is doing: a running query is cancelled, not left to work for nobody. */
  async #discard(client: pg.Client): Promise<void> {
    this.#busy.delete(client)
    const { processID } = client as unknown as { processID: number | null }
    const active = (client as unknown as { readyForQuery: boolean }).readyForQuery === false
    client.connection.stream.destroy()
    if (!active || processID === null) return
    try {
      const canceller = await this.#connect('cancel a query')
      await canceller.query('select pg_cancel_backend($1)', [processID])
      await canceller.end()
    } catch {
      // The server is gone, or full: it notices the closed socket by itself at the next row.
    }
  }

  async #connect(what: string, extra: pg.ClientConfig & { replication?: string } = {}): Promise<pg.Client> {
    const { config } = this
    for (;;) {
      const client = new pg.Client({
        host: config.host,
        port: config.port,
        database: config.database,
        user: config.user,
        password: config.password,
        application_name: 'lakeflow-connect',
        connectionTimeoutMillis: config.connect_timeout_seconds * 1000,
        keepAlive: true,
        ssl: this.#encrypted ? tlsOptions(config) : false,
        ...extra,
      })
      // An idle session that the server ends is found out by its next query.
      client.on('error', () => this.#forget(client))
      try {
        await client.connect()
        await client.query(settings)
        return client
      } catch (error) {
        client.connection.stream.destroy()
        const refused = error instanceof Error && error.message.includes('does not support SSL')
        if (!(refused && config.sslmode === 'prefer'))
          throw translate(error, `${what} on ${config.host}:${config.port}`)
        this.#encrypted = false
      }
    }
  }

  #forget(client: pg.Client): void {
    const index = this.#idle.indexOf(client)
    if (index >= 0) this.#idle.splice(index, 1)
  }
}

function tlsOptions(config: PostgresConfig): ConnectionOptions {
  const ca = config.sslrootcert === undefined ? {} : { ca: rootCertificate(config.sslrootcert) }
  if (config.sslmode === 'verify-full') return { ...ca, rejectUnauthorized: true }
  if (config.sslmode === 'verify-ca') return { ...ca, rejectUnauthorized: true, checkServerIdentity: () => undefined }
  // As libpq: a root certificate given with `require` is checked, though the name is not.
  if (config.sslmode === 'require' && config.sslrootcert !== undefined)
    return { ...ca, rejectUnauthorized: true, checkServerIdentity: () => undefined }
  return { rejectUnauthorized: false }
}
