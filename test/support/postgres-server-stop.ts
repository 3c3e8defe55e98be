/** Jest's tear-down of the service tests: ends the server that the set-up started, if it did. */
export default async function teardown(): Promise<void> {
  await (globalThis as { stopTestPostgres?: () => Promise<void> }).stopTestPostgres?.()
}
