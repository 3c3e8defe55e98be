import { startServer } from './server.ts'

/** Jest's set-up: one server for the whole run. Sets `MYSQL_SERVER`, the settings of a connection to it as JSON. */
export default async function setup(): Promise<void> {
  const server = await startServer()
  process.env.MYSQL_SERVER = JSON.stringify(server.config)
  // Jest gives set-up and tear-down no common scope but the global one.
  Object.assign(globalThis, { testServer: server })
}
