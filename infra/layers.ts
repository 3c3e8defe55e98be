/** `npm run layers`: fetches DuckDB's native library for Lambda's processor, which npm does not install on another one. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(join(root, 'node_modules/@duckdb/node-bindings/package.json'), 'utf8'))

for (const cpu of ['arm64', 'x64']) {
  const name = `@duckdb/node-bindings-linux-${cpu}`
  const folder = join(root, 'cdk.out/layers', cpu)
  if (existsSync(join(root, 'node_modules', name)) || existsSync(join(folder, 'node_modules', name))) continue
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  execFileSync('npm', ['install', '--no-save', '--os=linux', `--cpu=${cpu}`, `${name}@${version}`], {
    cwd: folder,
    stdio: 'inherit',
  })
}
