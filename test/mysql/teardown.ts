import type { TestServer } from './server.ts'

export default async function teardown(): Promise<void> {
  await (globalThis as unknown as { testServer?: TestServer }).testServer?.[Symbol.asyncDispose]()
}
