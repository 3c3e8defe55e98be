import { randomBytes } from 'node:crypto'
import mysql, { type Connection } from 'mysql2/promise'
import type { TestServer } from './server.ts'

export interface TestDatabase extends AsyncDisposable {
  name: string
  config: TestServer['config'] & { database: string }
  /** Runs SQL, any number of statements; rows of the last one, values as texts. */
  query(sql: string): Promise<Record<string, string | null>[]>
  /** Another session, for tests that hold transactions open. The caller ends it. */
  session(): Promise<Connection>
}

/** An empty database on the test run's server, dropped at the end. */
export async function createDatabase(): Promise<TestDatabase> {
  if (!process.env.MYSQL_SERVER)
    throw new Error('MYSQL_SERVER is not set: run this test with Jest, whose set-up starts the server')
  return databaseOn(JSON.parse(process.env.MYSQL_SERVER))
}

/** A session that takes any number of statements and gives values as texts. The caller ends it. */
export async function sessionOn(
  { sslmode: _, ...login }: TestServer['config'],
  database?: string,
): Promise<Connection> {
  const session = await mysql.createConnection({
    ...login,
    ...(database !== undefined && { database }),
    multipleStatements: true,
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    charset: 'utf8mb4',
  })
  await session.query(`set time_zone = '+00:00'`)
  return session
}

export async function databaseOn(config: TestServer['config']): Promise<TestDatabase> {
  const name = `t_${randomBytes(6).toString('hex')}`
  const client = await sessionOn(config)
  await client.query(`create database ${name} character set utf8mb4; use ${name}`)
  return {
    name,
    config: { ...config, database: name },
    async query(sql) {
      const [result] = await client.query({ sql, typeCast: (field) => field.string('utf8') as never })
      const last = Array.isArray(result) && Array.isArray(result.at(-1)) ? result.at(-1) : result
      return last as never
    },
    session: () => sessionOn(config, name),
    async [Symbol.asyncDispose]() {
      await client.query(`drop database if exists ${name}`)
      await client.end()
    },
  }
}

/** A table of one column `seq` with the numbers of a range, in SQL that all of the servers know. */
export function numbers(first: number, last: number): string {
  const places = Array.from({ length: String(last - first).length }, (_, place) => place)
  const digits = Array.from({ length: 10 }, (_, digit) => `select ${digit} as n`).join(' union all ')
  const sum = places.map((place) => `d${place}.n * ${10 ** place}`).join(' + ')
  const tables = places.map((place) => `(${digits}) as d${place}`).join(' cross join ')
  return `(select ${first} + ${sum} as seq from ${tables} having seq <= ${last}) as numbers`
}
