import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { ServerProgram } from './server.ts'

const programs = ['/usr/sbin/mariadbd', '/usr/bin/mariadb-install-db', '/usr/bin/mariadb-binlog']

/**
 * MariaDB from the distribution's own packages; installed when it is missing and this is root on a Debian.
 *
 * @throws Error with what to install by hand
 */
export function mariadbProgram(): ServerProgram {
  if (!programs.every(existsSync)) install()
  return {
    path: '/usr/sbin/mariadbd',
    settings: ['--innodb-flush-log-at-trx-commit=2', '--max-recursive-iterations=1000000'],
    makeData: (data, user) =>
      execFileSync(
        '/usr/bin/mariadb-install-db',
        ['--no-defaults', user, data, '--auth-root-authentication-method=normal', '--skip-test-db'],
        { stdio: 'pipe' },
      ),
  }
}

function install(): void {
  if (installPackages('mariadb-server') && programs.every(existsSync)) return
  throw new Error(
    `these tests need a MariaDB server, and it could not be installed here: as root, apt-get install mariadb-server (wanted: ${programs.join(', ')})`,
  )
}

/** Packages of Debian, after an update of their list when it is not known yet. Whether it went well. */
export function installPackages(...names: string[]): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const run = (words: string[]) => spawnSync('apt-get', words, { stdio: ['ignore', 2, 2], env }).status === 0
  const install = () => run(['install', '-y', '--no-install-recommends', ...names])
  return install() || (run(['update']) && install())
}
