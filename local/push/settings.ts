import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Project } from '../../shared/control/project.ts'
import { IngestError } from '../../shared/core/errors.ts'
import type { PushSpec } from '../../shared/pipeline/push-spec.ts'
import { resolveText } from '../../shared/pipeline/references.ts'
import { createAuthenticator, type JwtSettings, type StaticToken } from '../../shared/push/auth.ts'
import type { DeclaredTable } from '../../shared/push/tables.ts'
import { diskQueue } from '../../shared/queue/disk.ts'
import { parseTypeText } from '../../shared/schema/type-text.ts'
import type { Field } from '../../shared/schema/types.ts'
import { type PushServer, type PushServerOptions, startPushServer } from '../push-server.ts'

export const DEFAULT_PUSH_PORT = 8480

/** The push server that a project describes. `events` and `port` may be overridden. */
export async function startProjectPush(
  project: Project,
  overrides: Partial<Pick<PushServerOptions, 'port' | 'events'>> = {},
): Promise<PushServer> {
  const spec = project.spec.push ?? {}
  const tokens = await staticTokens(project, spec)
  const jwt = spec.jwt && (await jwtSettings(project, spec.jwt))
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
  const [token] = await staticTokens(project, project.spec.push ?? {})
  if (token) return token.token
  throw new IngestError('config.invalid', 'push has only jwt tokens; give one with --token')
}

export function declaredTables(spec: PushSpec): DeclaredTable[] {
  return Object.entries(spec.tables ?? {}).map(([name, table]) => ({
    name,
    policy: { onReject: table.on_reject ?? 'record', schemaEvolution: table.schema_evolution ?? 'none' },
    ...(table.columns ? { schema: { fields: Object.entries(table.columns).map(fieldOf) } } : {}),
  }))
}

function fieldOf([name, text]: [string, string]): Field {
  const notNull = /\s+not\s+null\s*$/i
  return { name, type: parseTypeText(text.replace(notNull, '')), nullable: !notNull.test(text) }
}

async function staticTokens(project: Project, spec: PushSpec): Promise<StaticToken[]> {
  const entries = Object.entries(spec.tokens ?? {})
  if (entries.length === 0 && !spec.jwt) return [await localToken(project)]
  return Promise.all(
    entries.map(async ([name, token]) => ({
      name,
      token: await secret(project, token.token),
      grants: [{ tables: token.tables, actions: token.actions ?? ['write' as const] }],
      quota: quotaOf(token),
    })),
  )
}

async function jwtSettings(project: Project, jwt: NonNullable<PushSpec['jwt']>): Promise<JwtSettings> {
  if ((jwt.jwks_url === undefined) === (jwt.secret === undefined))
    throw new IngestError('config.invalid', 'push.jwt needs jwks_url or secret, and not both')
  return {
    issuer: jwt.issuer,
    audience: jwt.audience,
    quota: quotaOf(jwt),
    ...(jwt.jwks_url === undefined ? {} : { jwksUrl: jwt.jwks_url }),
    ...(jwt.secret === undefined ? {} : { secret: await secret(project, jwt.secret) }),
  }
}

const quotaOf = (spec: { bytes_per_second?: number | undefined; max_sessions?: number | undefined }) => ({
  ...(spec.bytes_per_second === undefined ? {} : { bytesPerSecond: spec.bytes_per_second }),
  ...(spec.max_sessions === undefined ? {} : { sessions: spec.max_sessions }),
})

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
