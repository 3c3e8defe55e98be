import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mysql from 'mysql2/promise'

/** A server of our own: its data in a temporary folder, its port free, reachable from this machine only. */
export interface MariadbServer extends AsyncDisposable {
  /** As a connection of the connector has it. */
  config: { host: string; port: number; user: string; password: string; sslmode: 'disable' }
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Again, on the same data and port. */
  start(): Promise<void>
}

const programs = ['/usr/sbin/mariadbd', '/usr/bin/mariadb-install-db', '/usr/bin/mariadb-binlog']

/**
 * MariaDB from the distribution's own packages; installed when it is missing and this is root on a Debian.
 *
 * @throws Error with what to install by hand
 */
export function requireMariadb(): void {
  if (programs.every(existsSync)) return
  const options = { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } } as const
  const install = ['install', '-y', '--no-install-recommends', 'mariadb-server']
  const done =
    spawnSync('apt-get', install, options).status === 0 ||
    (spawnSync('apt-get', ['update'], options).status === 0 && spawnSync('apt-get', install, options).status === 0)
  if (!done || !programs.every(existsSync))
    throw new Error(
      `these tests need a MariaDB server, and it could not be installed here: as root, apt-get install mariadb-server (wanted: ${programs.join(', ')})`,
    )
}

export async function startMariadb(settings: readonly string[] = []): Promise<MariadbServer> {
  requireMariadb()
  const folder = mkdtempSync(join(tmpdir(), 'lakeflow-mariadb-'))
  const user = `--user=${process.getuid?.() === 0 ? 'root' : process.env.USER}`
  const data = `--datadir=${folder}/data`
  execFileSync(
    '/usr/bin/mariadb-install-db',
    ['--no-defaults', user, data, '--auth-root-authentication-method=normal', '--skip-test-db'],
    { stdio: 'pipe' },
  )
  const port = await freePort()
  let child: ChildProcess | undefined
  let said = ''
  const server: MariadbServer = {
    config: { host: '127.0.0.1', port, user: 'lakeflow', password: 'secret', sslmode: 'disable' },
    async start() {
      child = spawn(
        '/usr/sbin/mariadbd',
        [
          '--no-defaults',
          user,
          data,
          `--socket=${folder}/socket`,
          '--bind-address=127.0.0.1',
          `--port=${port}`,
          '--skip-name-resolve',
          '--server-id=7',
          '--log-bin=binlog',
          '--binlog-format=ROW',
          '--max-allowed-packet=64M',
          '--innodb-flush-log-at-trx-commit=2',
          '--innodb-buffer-pool-size=128M',
          ...settings,
        ],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      )
      child.stderr!.on('data', (chunk) => {
        said = (said + chunk).slice(-4000)
      })
      for (let left = 300; ; left--) {
        if (child.exitCode !== null || left === 0) throw new Error(`MariaDB did not start:\n${said}`)
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

function freePort(): Promise<number> {
  return new Promise((done) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => done(port))
    })
  })
}
