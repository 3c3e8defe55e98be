import type { MariadbServer } from './server.ts'

export default async function teardown(): Promise<void> {
  await (globalThis as unknown as { testMariadb?: MariadbServer }).testMariadb?.[Symbol.asyncDispose]()
}
