import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Project } from '../../shared/control/project.ts'
import { declaredTables, jwtSettings, staticTokens } from '../../shared/control/push-settings.ts'
import { IngestError } from '../../shared/core/errors.ts'
import { resolveText } from '../../shared/pipeline/references.ts'
import { createAuthenticator, type StaticToken } from '../../shared/push/auth.ts'
import { diskQueue } from '../../shared/queue/disk.ts'
import { type PushServer, type PushServerOptions, startPushServer } from '../push-server.ts'

export const DEFAULT_PUSH_PORT = 8480

/** The push server that a project describes. `events` and `port` may be overridden. */
export async function startProjectPush(
  project: Project,
  overrides: Partial<Pick<PushServerOptions, 'port' | 'events'>> = {},
): Promise<PushServer> {
  const spec = project.spec.push ?? {}
  const tokens = await tokensOf(project)
  const jwt = await jwtSettings(spec, (text) => secret(project, text))
  const queue = await diskQueue(join(stateFolder(project), 'push'))
  try {
    return await startPushServer({
      storage: project.storage,
      state: project.state,
      queue,
      clock: project.clock,
      random: project.random,
      authenticate: createAuthenticator({ tokens, ...(jwt ? { jwt } : {}) }),
      tables: declaredTables(spec),
      createTables: spec.create_tables ?? false,
      host: spec.host ?? '127.0.0.1',
      port: spec.port ?? DEFAULT_PUSH_PORT,
      ...(spec.flush_interval_ms === undefined ? {} : { flush: { fileAgeMs: spec.flush_interval_ms } }),
      ...overrides,
    })
  } catch (error) {
    await queue.close()
    throw error
  }
}

/** A token that may push to this project from this machine. */
export async function projectToken(project: Project): Promise<string> {
  const [token] = await tokensOf(project)
  if (token) return token.token
  throw new IngestError('config.invalid', 'push has only jwt tokens; give one with --token')
}

/** A project that names no tokens has one of its own. */
async function tokensOf(project: Project): Promise<StaticToken[]> {
  const spec = project.spec.push ?? {}
  const named = await staticTokens(spec, (text) => secret(project, text))
  return named.length === 0 && !spec.jwt ? [await localToken(project)] : named
}

const secret = (project: Project, text: string) =>
  resolveText(text, project.references, (value) => void project.redactor.add(value))

/**
 * The token of a project that names none: made once, readable by this user only. A port on loopback is open to every user and
 * every web page of the machine, so even there nobody writes without one.
 */
async function localToken(project: Project): Promise<StaticToken> {
  const file = join(stateFolder(project), 'push-token')
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, randomBytes(24).toString('base64url'), { flag: 'wx', mode: 0o600 }).catch((error) => {
    if (error.code !== 'EEXIST') throw error
  })
  const token = (await readFile(file, 'utf8')).trim()
  project.redactor.add(token)
  return { name: 'local', token, grants: [{ tables: ['*'], actions: ['write', 'create'] }], quota: {} }
}

const stateFolder = (project: Project) => dirname(project.scratch)
