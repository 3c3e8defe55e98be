import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Jest's global setup: a Python environment of our own in `.venv` with delta-rs, made on the first run and again when
 * `requirements.txt` changes. Needs Python 3.10 or later with `venv`, and a package index.
 */
export default function setup(): void {
  const root = join(import.meta.dirname, '../..')
  const venv = join(root, '.venv')
  const requirements = join(import.meta.dirname, 'requirements.txt')
  const stamp = join(venv, 'requirements.txt')
  const wanted = readFileSync(requirements, 'utf8')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  run('python3', ['-m', 'venv', venv])
  run(join(venv, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', '-r', requirements])
  writeFileSync(stamp, wanted)
}

function run(command: string, args: readonly string[]) {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${error ?? `exit ${status}`}`)
}
