import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { requireCommand } from './debian.ts'

/**
 * The folder of a Java package, by its coordinates `group:artifact:version`, with all that it depends on: in
 * `.cache/<name>`, fetched by Maven on the first use. `unpack` runs once in the new folder.
 */
export function mavenPackage(name: string, coordinates: string, unpack: (folder: string) => void = () => {}): string {
  const folder = join(import.meta.dirname, '../../.cache', name)
  if (existsSync(folder)) return folder
  requireCommand('mvn', 'maven')
  const partial = `${folder}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  const [groupId, artifactId, version] = coordinates.split(':')
  writeFileSync(
    join(partial, 'pom.xml'),
    `<project><modelVersion>4.0.0</modelVersion><groupId>test</groupId><artifactId>test</artifactId><version>1</version>
<dependencies><dependency><groupId>${groupId}</groupId><artifactId>${artifactId}</artifactId><version>${version}</version></dependency></dependencies></project>`,
  )
  runIn(partial, 'mvn', '-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=.')
  unpack(partial)
  renameSync(partial, folder)
  return folder
}

/** Runs a command in a folder; what it prints goes to standard error. */
export function runIn(folder: string, command: string, ...words: string[]): void {
  const { status, error } = spawnSync(command, words, { cwd: folder, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error(`${command} ${words.join(' ')} failed: ${error ?? `exit ${status}`}`)
}
