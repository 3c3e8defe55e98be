import { existsSync, mkdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { connectors } from '../shared/connectors/registry.ts'
import { connectionProblems } from '../shared/control/connections.ts'
import type { Project } from '../shared/control/project.ts'
import { systemClock } from '../shared/core/clock.ts'
import { IngestError } from '../shared/core/errors.ts'
import { systemRandom } from '../shared/core/random.ts'
import type { Redactor } from '../shared/core/redactor.ts'
import { readSpec } from '../shared/pipeline/read-spec.ts'
import { type ReferenceSource, resolveText } from '../shared/pipeline/references.ts'
import { sqliteState } from '../shared/state/sqlite.ts'
import type { StateStore } from '../shared/state/state-store.ts'
import { openStorage } from './open-storage.ts'
import { secretsIn } from './secrets.ts'

export interface OpenProject extends Project {
  close(): Promise<void>
}

/** The file that was asked for; else lakeflow.yml here or in a folder above; else where it would be. */
export function findSpecFile(asked: string | undefined, folder: string): string {
  if (asked !== undefined) return resolve(folder, asked)
  for (let at = resolve(folder); ; at = dirname(at)) {
    if (existsSync(join(at, 'lakeflow.yml'))) return join(at, 'lakeflow.yml')
    if (at === dirname(at)) return resolve(folder, 'lakeflow.yml')
  }
}

/**
 * Reads the file and opens what it names. Nothing is created before the first write.
 *
 * @throws IngestError `config.invalid`, `config.secret_missing` (fix)
 */
export async function openProject(
  file: string,
  { env, redactor }: { env: NodeJS.ProcessEnv; redactor: Redactor },
): Promise<OpenProject> {
  const folder = dirname(file)
  const read = readSpec(await specText(file), relative(process.cwd(), file) || file)
  const references = referenceSource(folder, env)
  const problems = Object.entries(read.spec.connections ?? {}).flatMap(([name, spec]) =>
    connectionProblems(name, spec, connectors, read.text),
  )
  if (problems.length > 0) throw new IngestError('config.invalid', problems.join('\n'))
  const place = async (text: string) =>
    resolveText(text, references, (value, kind) => (kind === 'env' ? undefined : redactor.add(value)))
  const lakehouse = await place(read.spec.lakehouse)
  const { storage, localFolder } = await openStorage(lakehouse, folder)
  const stateFolder = read.spec.state
    ? resolve(folder, await place(read.spec.state))
    : join(localFolder ?? folder, '.lakeflow')
  let state: StateStore | undefined
  return {
    ...read,
    storage,
    // Opened at first use: a lakehouse that may only be read can still be queried.
    get state() {
      state ??= openState(stateFolder)
      return state
    },
    scratch: join(stateFolder, 'scratch'),
    connectors,
    references,
    redactor,
    clock: systemClock,
    random: systemRandom,
    close: async () => state?.close(),
  }
}

function openState(folder: string): StateStore {
  try {
    mkdirSync(folder, { recursive: true })
  } catch (cause) {
    throw new IngestError('storage.permission_denied', `${folder} cannot be made: ${(cause as Error).message}`, {
      cause,
    })
  }
  return sqliteState(join(folder, 'state.db'))
}

async function specText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    const message = missing
      ? `there is no ${file}; lakeflow init writes one, -f names another`
      : `${file} cannot be read: ${(cause as Error).message}`
    throw new IngestError('config.invalid', message, { cause })
  }
}

function referenceSource(folder: string, env: NodeJS.ProcessEnv): ReferenceSource {
  return {
    env: (name) => env[name],
    file: (path) => readFile(resolve(folder, path), 'utf8').catch(() => undefined),
    secret: (name) => secretsIn(folder).get(name),
  }
}
