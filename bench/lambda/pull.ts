import { S3Client } from '@aws-sdk/client-s3'
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import pg from 'pg'
import { s3Storage } from '../../shared/storage/s3.ts'
import type { Account } from '../../test/rehearsal/account.ts'
import { LambdaHost } from '../../test/rehearsal/lambda-host.ts'
import { execute } from '../../test/rehearsal/state-machine.ts'
import type { Work } from '../cost/model.ts'
import { functionMetrics, functionWork } from './function-work.ts'
import { bucket, prefix, storeSpec } from './spec.ts'

export const ROWS = Number(process.env.ROWS ?? 1_000_000)

/** A table of ten columns is copied by a scheduled run; the next run finds nothing new. */
export async function measurePull(
  account: Account,
  env: Record<string, string>,
  url: string,
): Promise<{ copy: Work; idle: Work; metrics: Record<string, number> }> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`create table events as select i::bigint as id, i % 1000 as customer, 'kind ' || i % 7 as kind, i * 1.25 as amount,
    now() - interval '1 hour' as updated_at, current_date as day, i % 2 = 0 as flag, sqrt(i) as score, md5(i::text) as note,
    jsonb_build_object('i', i) as payload from generate_series(1, ${ROWS}) i`)
  await client.query('alter table events add primary key (id)')
  await client.end()
  await configure(account, env, new URL(url))

  using cold = new LambdaHost(account.functions, env)
  const copy = await runOnce(account, cold)
  using warm = new LambdaHost(account.functions, env)
  const idle = await runOnce(account, warm)
  return { copy, idle, metrics: functionMetrics([cold, warm], prefix) }
}

async function configure(
  account: Account,
  env: Record<string, string>,
  { hostname, port, username, password, pathname }: URL,
) {
  const secret = { Name: 'rehearsal/lakeflow/postgres/bench-password', SecretString: decodeURIComponent(password) }
  await new SecretsManagerClient({}).send(new CreateSecretCommand(secret))
  const text = `
lakehouse: s3://${bucket}
connections:
  source:
    type: postgres
    host: ${hostname}
    port: ${port}
    database: ${pathname.slice(1)}
    user: ${username}
    password: \${secret:bench-password}
    sslmode: disable
pipelines:
  bench:
    ingestion_definition:
      connection_name: source
      connector_type: QUERY_BASED
      objects:
        - table: { source_schema: public, source_table: events, destination_catalog: main, destination_schema: bench }
      table_configuration:
        query_based_connector_config: { cursor_columns: [updated_at] }
`
  await storeSpec(account, env, text)
}

async function runOnce(account: Account, host: LambdaHost): Promise<Work> {
  const storage = s3Storage(new S3Client({ forcePathStyle: true }), bucket, '')
  let transitions = 0
  const input = { pipeline: 'bench', connector: 'postgres', cause: 'API_CALL' }
  const ports = {
    invoke: async (name: string, payload: unknown) => (await host.invoke(name, payload)).result,
    getJson: async (_bucket: string, key: string) =>
      JSON.parse(Buffer.from((await storage.get(key))!).toString('utf8')) as unknown,
    sleep: async () => {},
    random: Math.random,
    entered: () => {
      transitions += 1
    },
  }
  await execute(account.machine, input, ports, { Execution: { Name: `bench-${Date.now()}`, Input: input } })
  return { functions: functionWork(account, host.log), transitions }
}
