import { IngestError } from '../core/errors.ts'
import { type PushSpec, parseColumnText } from '../pipeline/push-spec.ts'
import type { JwtSettings, StaticToken } from '../push/auth.ts'
import type { DeclaredTable } from '../push/tables.ts'

/** A value of the configuration with its references to secrets resolved. */
export type Resolve = (text: string) => Promise<string>

/** The tables that the section `push` declares. @throws IngestError `config.invalid` (fix) for a type that is not known */
export function declaredTables(spec: PushSpec): DeclaredTable[] {
  return Object.entries(spec.tables ?? {}).map(([name, table]) => ({
    name,
    policy: { onReject: table.on_reject ?? 'record', schemaEvolution: table.schema_evolution ?? 'none' },
    ...(table.columns
      ? {
          schema: { fields: Object.entries(table.columns).map(([name, text]) => ({ name, ...parseColumnText(text) })) },
        }
      : {}),
  }))
}

/** The tokens that the configuration names. */
export function staticTokens(spec: PushSpec, resolve: Resolve): Promise<StaticToken[]> {
  return Promise.all(
    Object.entries(spec.tokens ?? {}).map(async ([name, token]) => ({
      name,
      token: await resolve(token.token),
      grants: [{ tables: token.tables, actions: token.actions ?? ['write' as const] }],
      quota: quotaOf(token),
    })),
  )
}

/** How JWTs are checked, when the configuration allows them. @throws IngestError `config.invalid` (fix) */
export async function jwtSettings({ jwt }: PushSpec, resolve: Resolve): Promise<JwtSettings | undefined> {
  if (!jwt) return undefined
  if ((jwt.jwks_url === undefined) === (jwt.secret === undefined))
    throw new IngestError('config.invalid', 'push.jwt needs jwks_url or secret, and not both')
  return {
    issuer: jwt.issuer,
    audience: jwt.audience,
    quota: quotaOf(jwt),
    ...(jwt.jwks_url === undefined ? {} : { jwksUrl: jwt.jwks_url }),
    ...(jwt.secret === undefined ? {} : { secret: await resolve(jwt.secret) }),
  }
}

const quotaOf = (spec: { bytes_per_second?: number | undefined; max_sessions?: number | undefined }) => ({
  ...(spec.bytes_per_second === undefined ? {} : { bytesPerSecond: spec.bytes_per_second }),
  ...(spec.max_sessions === undefined ? {} : { sessions: spec.max_sessions }),
})
