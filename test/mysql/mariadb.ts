import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { installPackages } from '../support/debian.ts'
import type { ServerProgram } from './server.ts'

const programs = ['/usr/sbin/mariadbd', '/usr/bin/mariadb-install-db', '/usr/bin/mariadb-binlog']

/** MariaDB from the distribution's own packages, installed when it is missing. */
export function mariadbProgram(): ServerProgram {
  if (!programs.every(existsSync)) installPackages('mariadb-server')
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
