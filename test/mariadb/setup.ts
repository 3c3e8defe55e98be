import { startMariadb } from './server.ts'

/** Jest's set-up: one server for the whole run. Sets `MARIADB`, the settings of a connection to it as JSON. */
export default async function setup(): Promise<void> {
  const server = await startMariadb()
  process.env.MARIADB = JSON.stringify(server.config)
  // Jest gives set-up and tear-down no common scope but the global one.
  Object.assign(globalThis, { testMariadb: server })
}
