/**
 * `npm run test:aws [-- jest arguments]`: starts an emulated account, runs the Jest project `aws` in it, stops it. Its
 * DynamoDB is Amazon's own, whose transactions are serializable as those of the service are; moto's are not.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { startDynamoDb } from '../support/dynamodb-local.ts'
import { startMoto } from '../support/moto.ts'

const moto = await startMoto()
const dynamoDb = await startDynamoDb()
const jest = spawn('npx', ['jest', ...process.argv.slice(2), '--selectProjects', 'aws'], {
  stdio: 'inherit',
  env: {
    ...process.env,
    ...moto.env,
    AWS_ENDPOINT_URL_DYNAMODB: dynamoDb.url,
    NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning',
  },
})
const [code] = await once(jest, 'exit')
await Promise.all([moto.stop(), dynamoDb.stop()])
process.exitCode = code ?? 1
