import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from '@jest/globals'
import { runChild } from '../support/child.ts'

interface Copied {
  state: string
  rows: number
  seconds: number
  cpuSeconds: number
  maxRssMb: number
}

/** With SOAK the larger copy has a million rows. */
const large = process.env.SOAK ? 1_000_000 : 100_000

async function copy(rows: number): Promise<Copied> {
  const script = join(import.meta.dirname, '../fixtures/salesforce/serve.ts')
  const server = spawn(process.execPath, ['--max-old-space-size=8192', script, String(rows)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  try {
    const [line] = (await once(createInterface(server.stdout), 'line')) as [string]
    return await runChild<Copied>('service/salesforce-child.ts', line)
  } finally {
    server.stdin.end()
    await once(server, 'exit')
  }
}

test('a copy of many rows takes no more memory than one of few', async () => {
  const few = await copy(30_000)
  const many = await copy(large)
  console.info(JSON.stringify({ few, many }))

  expect([few.state, many.state, many.rows]).toEqual(['COMPLETED', 'COMPLETED', large])
  expect(many.maxRssMb).toBeLessThan(few.maxRssMb + 150)
}, 3_600_000)
