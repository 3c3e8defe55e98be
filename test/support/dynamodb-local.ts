import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../local/embedded-postgres.ts'
import { requireCommand } from './debian.ts'
import { mavenPackage } from './maven.ts'

export interface DynamoDbLocal {
  url: string
  stop(): Promise<void>
}

const SERVER = 'com.amazonaws:DynamoDBLocal:2.6.1'

/** Amazon's own DynamoDB for one machine, in memory, on a free port. Needs Java 17, which is installed if missing. */
export async function startDynamoDb(): Promise<DynamoDbLocal> {
  const folder = mavenPackage('dynamodb-local', SERVER)
  requireCommand('java', 'default-jre-headless')
  const port = await freePort()
  const main = 'com.amazonaws.services.dynamodbv2.local.main.ServerRunner'
  const server = spawn(
    'java',
    [`-Djava.library.path=${folder}`, '-cp', `${folder}/*`, main, '-inMemory', '-sharedDb', '-port', String(port)],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const ended = once(server, 'exit')
  let errors = ''
  server.stderr.on('data', (text) => {
    errors = (errors + text).slice(-4_000)
  })
  // Whatever ends this process ends the server.
  process.once('exit', () => server.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  for (let tries = 0; !(await answers(url)); tries++) {
    if (server.exitCode !== null || tries === 600) throw new Error(`DynamoDB did not start:\n${errors}`)
    await sleep(100)
  }
  return {
    url,
    async stop() {
      server.kill('SIGKILL')
      await ended
    },
  }
}

/** Without a signature it refuses, and so is there. */
const answers = (url: string) =>
  fetch(url).then(
    () => true,
    () => false,
  )
