import type { Sessions } from './session.ts'

/** Global rights of the current user, by the server's names; roles are not looked into. */
export async function rightsOf(sessions: Sessions): Promise<ReadonlySet<string>> {
  const rows = await sessions.query<{ name: string }>(
    'read the rights of the user',
    `select privilege_type as name from information_schema.user_privileges
     where grantee = concat("'", replace(current_user(), '@', "'@'"), "'")`,
  )
  return new Set(rows.map(({ name }) => name))
}
