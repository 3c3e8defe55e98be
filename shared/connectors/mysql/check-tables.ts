import type { CheckResult } from '../../connector/connector.ts'
import type { Sessions } from './session.ts'

/** What of each database can be read. A table without any right is not visible at all. */
export async function describeTables(sessions: Sessions): Promise<CheckResult[]> {
  const { schemas } = sessions
  const rows = await sessions.query<{ name: string; tables: string | number }>(
    'read the catalog',
    `select table_schema as name, count(*) as tables from information_schema.tables
     where table_type in ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED') and table_schema not in ('information_schema', 'mysql', 'performance_schema', 'sys')
     ${schemas ? 'and table_schema in (?)' : ''} group by table_schema order by table_schema`,
    schemas ? [schemas.length > 0 ? schemas : ['']] : [],
  )
  const { user } = sessions.config
  const missing = (schemas ?? []).filter((schema) => !rows.some(({ name }) => name === schema))
  return [
    ...missing.map((schema) => ({
      requirement: `tables in the database ${schema}`,
      met: false,
      detail: `${user} sees no tables in a database ${schema}: correct the name, or grant select on \`${schema}\`.* to ${user}`,
    })),
    ...rows.map(({ name, tables }) => ({
      requirement: `tables in the database ${name}`,
      met: true,
      detail: `${user} sees ${tables} tables and views`,
    })),
    ...(rows.length === 0 && missing.length === 0
      ? [{ requirement: 'tables to read', met: false, advice: true, detail: `${user} sees no tables in any database` }]
      : []),
  ]
}
