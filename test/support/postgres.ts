import { randomBytes } from 'node:crypto'
import pg from 'pg'

export interface TestDatabase extends AsyncDisposable {
  name: string
  url: string
  /** As a connection of the connector has it. */
  config: { host: string; port: number; database: string; user: string; password: string; sslmode: 'disable' }
  /** Runs SQL, any number of statements; rows of the last one. */
  query(sql: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  /** Another session, for tests that hold transactions open. The caller ends it. */
  session(): Promise<pg.Client>
}

/** The major version of the test run's server. */
export async function serverVersion(): Promise<number> {
  const client = new pg.Client({ connectionString: process.env.PG_URL })
  await client.connect()
  try {
    const { rows } = await client.query('show server_version_num')
    return Math.floor(Number(rows[0].server_version_num) / 10_000)
  } finally {
    await client.end()
  }
}

/** An empty database on the test run's server (`PG_URL`, or the one Jest's set-up started), dropped with its slots at the end. */
export async function createDatabase(): Promise<TestDatabase> {
  const server = process.env.PG_URL
  if (!server) throw new Error('PG_URL is not set: run this test with Jest, whose set-up starts PostgreSQL')
  const name = `t_${randomBytes(6).toString('hex')}`
  await once(server, `create database ${name} template template0 encoding 'UTF8'`)

  const url = new URL(server)
  url.pathname = `/${name}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  return {
    name,
    url: url.href,
    config: {
      host: url.hostname,
      port: Number(url.port || 5432),
      database: name,
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      sslmode: 'disable',
    },
    async query(sql, values) {
      const result = await client.query(sql, values)
      const last = Array.isArray(result) ? result.at(-1) : result
      return last.rows
    },
    async session() {
      const session = new pg.Client({ connectionString: url.href })
      await session.connect()
      return session
    },
    async [Symbol.asyncDispose]() {
      await client.query(
        'select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database() and active',
      )
      for (let left = 20; left > 0; left--)
        try {
          await client.query(
            'select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()',
          )
          break
        } catch (error) {
          if (left === 1) throw error
          await new Promise((done) => setTimeout(done, 100))
        }
      await client.end()
      await once(server, `drop database ${name} with (force)`)
    },
  }
}

async function once(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
