import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * The programs (`bin`) of a Python environment of our own in `.venv/<name>` with these packages, one to a line. Made on
 * the first use and again when the packages change. Needs Python 3.10 or later with `venv`, and a package index.
 */
export function pythonEnvironment(name: string, packages: string): string {
  const folder = join(import.meta.dirname, '../../.venv', name)
  const bin = join(folder, 'bin')
  const stamp = join(folder, 'requirements.txt')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === packages) return bin
  run('python3', ['-m', 'venv', '--clear', folder])
  run(join(bin, 'pip'), ['install', '--quiet', '--disable-pip-version-check', ...packages.trim().split('\n')])
  writeFileSync(stamp, packages)
  return bin
}

function run(command: string, args: readonly string[]) {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${error ?? `exit ${status}`}`)
}
