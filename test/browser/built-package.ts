import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const sdk = join(import.meta.dirname, '../../sdk')

export interface BuiltPackage {
  /** A project that has the package installed, and nothing else. */
  project: string
  /** The installed package. */
  folder: string
  /** Paths of what is published. */
  files: readonly string[]
  manifest: { dependencies?: object; exports: Record<string, unknown> }
  remove(): void
}

/** Builds and packs the producer client, and unpacks what would be published where npm would put it. */
export function buildPackage(): BuiltPackage {
  const project = mkdtempSync(join(tmpdir(), 'zerobus-'))
  const folder = join(project, 'node_modules/@lakeflow/zerobus')
  mkdirSync(folder, { recursive: true })
  const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', project], { cwd: sdk, encoding: 'utf8' })
  // Scripts of the package may print before the JSON.
  const [{ filename, files }] = JSON.parse(packed.slice(packed.indexOf('[')))
  execFileSync('tar', ['-xzf', join(project, filename), '-C', folder, '--strip-components=1'])
  cpSync(join(import.meta.dirname, 'scenarios.js'), join(project, 'scenarios.mjs'))
  return {
    project,
    folder,
    files: (files as { path: string }[]).map(({ path }) => path),
    manifest: JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')),
    remove: () => rmSync(project, { recursive: true, force: true }),
  }
}
