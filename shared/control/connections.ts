import * as z from 'zod'
import type { CheckResult, Connector, SourceTable } from '../connector/connector.ts'
import { IngestError } from '../core/errors.ts'
import { describeIssues, type Places } from '../pipeline/describe-issue.ts'
import { didYouMean } from '../pipeline/nearest.ts'
import { hasReference, referenceProblems, resolveText } from '../pipeline/references.ts'
import { childSchema, unwrap } from '../pipeline/schema-walk.ts'
import { type ConnectionSpec, connectionNamed, type Project } from './project.ts'

/** The problems of a connection that can be seen without its secrets, each with its line. */
export function connectionProblems(
  name: string,
  spec: ConnectionSpec,
  connectors: readonly Connector[],
  places: Places,
): string[] {
  const path = ['connections', name]
  const connector = connectors.find((candidate) => candidate.name === spec.type)
  if (!connector) {
    const names = connectors.map((candidate) => candidate.name)
    const hint = didYouMean(spec.type, names) || `; known are ${names.join(', ')}`
    return [places.problem([...path, 'type'], `there is no connector of type ${spec.type}${hint}`)]
  }
  const { type: _, ...config } = spec
  const references = textsIn(config).flatMap(({ at, text }) =>
    referenceProblems(text).map((problem) => places.problem([...path, ...at], problem)),
  )
  const issues = connector.config.safeParse(config, { reportInput: true }).error?.issues ?? []
  // What a reference stands for is not known yet, so nothing can be said against it.
  const known = issues.filter((issue) => !isUnresolved(config, issue.path))
  return [...references, ...describeIssues(known, connector.config, places, path)]
}

/**
 * The connection's configuration with all references resolved, as its connector wants it. Its secrets become known to
 * the redactor.
 *
 * @throws IngestError `config.secret_missing`, `config.invalid` (fix)
 */
export async function connectionConfig(
  project: Project,
  name: string,
): Promise<{ connector: Connector; config: unknown }> {
  const spec = connectionNamed(project, name)
  const problems = connectionProblems(name, spec, project.connectors, project.text)
  if (problems.length > 0) throw new IngestError('config.invalid', problems.join('\n'))
  const connector = project.connectors.find((candidate) => candidate.name === spec.type)!
  const { type: _, ...raw } = spec
  const resolved = await resolveValue(project, connector.config, raw, ['connections', name])
  const parsed = connector.config.safeParse(resolved, { reportInput: true })
  if (parsed.success) return { connector, config: parsed.data }
  const told = describeIssues(parsed.error.issues, connector.config, project.text, ['connections', name])
  throw new IngestError('config.invalid', told.join('\n'))
}

/** Opens a connection for `work` and closes it whatever happens. */
export async function withConnection<T>(
  project: Project,
  name: string,
  signal: AbortSignal,
  work: (connector: Connector, context: unknown) => Promise<T>,
): Promise<T> {
  const { connector, config } = await connectionConfig(project, name)
  const context = await connector.connect(config, { clock: project.clock, signal })
  try {
    return await work(connector, context)
  } finally {
    await connector.close(context)
  }
}

/** What a person wants to know before the first run. A connection that cannot be opened is one unmet requirement. */
export async function checkConnection(
  project: Project,
  name: string,
  signal: AbortSignal,
): Promise<readonly CheckResult[]> {
  try {
    return await withConnection(project, name, signal, (connector, context) => connector.check(context))
  } catch (error) {
    if (!(error instanceof IngestError) || error.remedy === 'report') throw error
    return [
      {
        requirement: 'the source can be reached and lets us in',
        met: false,
        detail: `${error.code}: ${error.message}`,
      },
    ]
  }
}

export function discoverConnection(
  project: Project,
  name: string,
  signal: AbortSignal,
  scope?: { catalog?: string; schema?: string; table?: string },
): Promise<readonly SourceTable[]> {
  return withConnection(project, name, signal, (connector, context) => connector.discover(context, scope))
}

function textsIn(value: unknown, at: readonly PropertyKey[] = []): { at: readonly PropertyKey[]; text: string }[] {
  if (typeof value === 'string') return [{ at, text: value }]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, item]) =>
    textsIn(item, [...at, Array.isArray(value) ? Number(key) : key]),
  )
}

function isUnresolved(config: unknown, path: readonly PropertyKey[]): boolean {
  const value = path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], config)
  return typeof value === 'string' && hasReference(value)
}

/**
 * Secrets are what a connector marks as one, and whatever comes from a file or the secret store, except numbers; a host
 * name from the environment is not.
 */
async function resolveValue(
  project: Project,
  schema: z.ZodType | undefined,
  value: unknown,
  path: readonly PropertyKey[],
): Promise<unknown> {
  if (typeof value === 'string') {
    const secret = schema === undefined || isSecret(schema)
    try {
      const resolved = await resolveText(value, project.references, (found, kind) => {
        if (secret || (kind !== 'env' && !isNumber(schema))) project.redactor.add(found)
      })
      if (schema && isSecret(schema)) project.redactor.add(resolved)
      return resolved
    } catch (error) {
      if (!(error instanceof IngestError)) throw error
      throw new IngestError(error.code, project.text.problem(path, error.message), { cause: error.cause })
    }
  }
  if (typeof value !== 'object' || value === null) return value
  const entries = await Promise.all(
    Object.entries(value).map(async ([key, item]) => {
      const at = Array.isArray(value) ? Number(key) : key
      return [key, await resolveValue(project, schema && childSchema(schema, at), item, [...path, at])] as const
    }),
  )
  return Array.isArray(value) ? entries.map(([, item]) => item) : Object.fromEntries(entries)
}

const isNumber = (schema: z.ZodType) => unwrap(schema) instanceof z.ZodNumber

/** The mark may be on the schema or inside the wrappers that give it a default. */
function isSecret(schema: z.ZodType): boolean {
  if (schema.meta?.()?.secret === true) return true
  const inner = (schema as { unwrap?: () => z.ZodType }).unwrap?.()
  return inner instanceof z.ZodType && inner !== schema && isSecret(inner)
}
