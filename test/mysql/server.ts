import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mysql from 'mysql2/promise'
import { freePort } from '../../local/embedded-postgres.ts'
import { mariadbProgram } from './mariadb.ts'
import { mysqlProgram } from './mysql.ts'

/** The servers that the tests know. FLAVOUR of the environment chooses one; the default is MariaDB. */
export type Flavour = 'mariadb' | 'mysql'

export function flavourOfRun(): Flavour {
  const flavour = process.env.FLAVOUR ?? 'mariadb'
  if (flavour !== 'mariadb' && flavour !== 'mysql') throw new Error(`FLAVOUR is mariadb or mysql, got ${flavour}`)
  return flavour
}

/** The run is against MySQL 5.7: MYSQL_VERSION of the environment, which is 5.7 or 8.0, the default. */
export function isOld(): boolean {
  const version = process.env.MYSQL_VERSION ?? '8.0'
  if (version !== '5.7' && version !== '8.0') throw new Error(`MYSQL_VERSION is 5.7 or 8.0, got ${version}`)
  return flavourOfRun() === 'mysql' && version === '5.7'
}

export interface ServerProgram {
  path: string
  settings: readonly string[]
  /** Makes an empty data folder; both arguments are options of the server. */
  makeData(data: string, user: string): unknown
}

/** A server of our own: its data in a temporary folder, its port free, reachable from this machine only. */
export interface TestServer extends AsyncDisposable {
  /** As a connection of the connector has it. */
  config: { host: string; port: number; user: string; password: string; sslmode: 'disable' }
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Again, on the same data and port. */
  start(): Promise<void>
}

export async function startServer(
  settings: readonly string[] = [],
  flavour: Flavour = flavourOfRun(),
): Promise<TestServer> {
  const program = flavour === 'mariadb' ? mariadbProgram() : mysqlProgram(isOld() ? 5 : 8)
  const folder = mkdtempSync(join(tmpdir(), `lakeflow-${flavour}-`))
  const user = `--user=${process.getuid?.() === 0 ? 'root' : process.env.USER}`
  const data = `--datadir=${folder}/data`
  program.makeData(data, user)
  const port = await freePort()
  let child: ChildProcess | undefined
  let said = ''
  const server: TestServer = {
    config: { host: '127.0.0.1', port, user: 'lakeflow', password: 'secret', sslmode: 'disable' },
    async start() {
      child = spawn(
        program.path,
        [
          '--no-defaults',
          user,
          data,
          `--socket=${folder}/socket`,
          `--pid-file=${folder}/pid`,
          '--bind-address=127.0.0.1',
          `--port=${port}`,
          '--skip-name-resolve',
          '--server-id=7',
          '--log-bin=binlog',
          '--binlog-format=ROW',
          '--max-allowed-packet=64M',
          '--innodb-buffer-pool-size=128M',
          ...program.settings,
          ...settings,
        ],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      )
      child.stderr!.on('data', (chunk) => {
        said = (said + chunk).slice(-4000)
      })
      for (let left = 300; ; left--) {
        if (child.exitCode !== null || left === 0) throw new Error(`${flavour} did not start:\n${said}`)
        try {
          const root = await mysql.createConnection({ socketPath: `${folder}/socket`, user: 'root' })
          await root.query(`create user if not exists lakeflow@'%' identified by 'secret'`)
          await root.query(`grant all on *.* to lakeflow@'%' with grant option`)
          await root.end()
          return
        } catch {
          await new Promise((done) => setTimeout(done, 100))
        }
      }
    },
    async stop(signal = 'SIGTERM') {
      const running = child
      child = undefined
      if (!running || running.exitCode !== null) return
      const ended = new Promise((done) => running.once('exit', done))
      running.kill(signal)
      await ended
    },
    async [Symbol.asyncDispose]() {
      await server.stop('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
  await server.start()
  return server
}
