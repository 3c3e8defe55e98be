import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from '../../local/embedded-postgres.ts'

/** A server of the version that is tested: the project's own, or the package in the folder `POSTGRES_PACKAGE`. */
export function startTestServer(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { POSTGRES_PACKAGE } = process.env
  return startEmbeddedPostgres({ ...options, ...(POSTGRES_PACKAGE && { package: POSTGRES_PACKAGE }) })
}

/** Jest's set-up of the service tests: one server for the whole run, unless `PG_URL` names one. Returns nothing; sets `PG_URL`. */
export default async function setup(): Promise<void> {
  if (process.env.PG_URL) return
  const dataFolder = mkdtempSync(join(tmpdir(), 'lakeflow-test-postgres-'))
  const server = await startTestServer({
    dataFolder,
    settings: { fsync: 'off', shared_buffers: '64MB', max_connections: '100', max_prepared_transactions: '10' },
  })
  process.env.PG_URL = server.url
  // Jest gives set-up and tear-down no common scope but the global one.
  Object.assign(globalThis, {
    stopTestPostgres: async () => {
      await server.stop()
      rmSync(server.dataFolder, { recursive: true, force: true })
      rmSync(dataFolder, { recursive: true, force: true })
    },
  })
}
