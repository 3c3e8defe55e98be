import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { DescribeParametersCommand, SSMClient } from '@aws-sdk/client-ssm'
import { afterAll, describe, expect, test } from '@jest/globals'
import { secretsManagerSecrets } from '../../shared/secrets/secrets-manager.ts'
import { ssmSecrets } from '../../shared/secrets/ssm.ts'
import { secretsContract } from '../contract/secrets.contract.ts'

const manager = new SecretsManagerClient({})
const ssm = new SSMClient({})
afterAll(() => {
  manager.destroy()
  ssm.destroy()
})

describe('Secrets Manager', () => {
  secretsContract(async () => ({ secrets: secretsManagerSecrets(manager, 'lakeflow/test'), close: async () => {} }))
})

describe('Parameter Store', () => {
  secretsContract(async () => ({ secrets: ssmSecrets(ssm, 'lakeflow/test'), close: async () => {} }))

  test('every parameter is a SecureString', async () => {
    await ssmSecrets(ssm, 'lakeflow/types').put('a', 'one')

    const { Parameters } = await ssm.send(
      new DescribeParametersCommand({
        ParameterFilters: [{ Key: 'Name', Option: 'BeginsWith', Values: ['/lakeflow/types'] }],
      }),
    )
    expect(Parameters).toMatchObject([{ Name: '/lakeflow/types/a', Type: 'SecureString' }])
  })
})

test('a service that does not answer is storage.unavailable', async () => {
  const options = { endpoint: 'http://127.0.0.1:1', maxAttempts: 2 }
  const nowhere = [new SecretsManagerClient(options), new SSMClient(options)] as const

  const unavailable = { code: 'storage.unavailable', remedy: 'retry' }
  await expect(secretsManagerSecrets(nowhere[0], 'x').get('a')).rejects.toMatchObject(unavailable)
  await expect(ssmSecrets(nowhere[1], 'x').put('a', 'b')).rejects.toMatchObject(unavailable)
  for (const client of nowhere) client.destroy()
})
