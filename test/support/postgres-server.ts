import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../../local/embedded-postgres.ts'

/** Jest's set-up of the service tests: one server for the whole run, unless `PG_URL` names one. Returns nothing; sets `PG_URL`. */
export default async function setup(): Promise<void> {
  if (process.env.PG_URL) return
  const dataFolder = mkdtempSync(join(tmpdir(), 'lakeflow-test-postgres-'))
  const server = await startEmbeddedPostgres({
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
