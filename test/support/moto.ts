import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../local/embedded-postgres.ts'
import { pythonEnvironment } from './python.ts'

/** moto's server, an emulated AWS account: S3 with conditional writes, DynamoDB with transactions, SQS, secrets. */
export interface Moto {
  url: string
  /** What the AWS SDK reads to find it. */
  env: Record<string, string>
  stop(): Promise<void>
}

/** Starts moto on a free port of this machine; the first time it is installed into `.venv`. Needs Python 3 with venv. */
export async function startMoto(): Promise<Moto> {
  const programs = pythonEnvironment('moto', 'moto[server]==5.2.5\n')
  const port = await freePort()
  const server = spawn(join(programs, 'moto_server'), ['-H', '127.0.0.1', '-p', String(port)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PYTHONUNBUFFERED: '1' },
  })
  let errors = ''
  server.stderr.on('data', (text) => {
    errors = (errors + text).slice(-4_000)
  })
  // Whatever ends this process ends the server.
  process.once('exit', () => server.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  await answering(url, server, () => errors)
  return {
    url,
    env: {
      AWS_ENDPOINT_URL: url,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_REGION: 'us-east-1',
      AWS_EC2_METADATA_DISABLED: 'true',
    },
    async stop() {
      server.kill('SIGKILL')
      while (server.exitCode === null && server.signalCode === null) await sleep(10)
    },
  }
}

async function answering(url: string, server: ChildProcess, errors: () => string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (server.exitCode !== null) break
    const response = await fetch(`${url}/moto-api/`).catch(() => undefined)
    if (response?.ok) return
    await sleep(100)
  }
  server.kill('SIGKILL')
  throw new Error(`moto did not start:\n${errors()}`)
}
