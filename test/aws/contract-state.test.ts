import { randomUUID } from 'node:crypto'
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { dynamoState } from '../../shared/state/dynamodb.ts'
import { stateContract } from '../contract/state.contract.ts'

const client = new DynamoDBClient({})
const table = `state-${randomUUID()}`
beforeAll(async () => {
  await client.send(
    new CreateTableCommand({
      TableName: table,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: 'pk', AttributeType: 'S' },
        { AttributeName: 'sk', AttributeType: 'S' },
      ],
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    }),
  )
})
afterAll(() => client.destroy())

stateContract(async (clock) => ({ state: dynamoState(client, table, { clock }), close: async () => {} }))

test('a missing table is storage.missing, and one that does not answer is state.unavailable', async () => {
  const key = { partition: 'p', sort: 's' }
  await expect(dynamoState(client, `${table}-not`).read(key)).rejects.toMatchObject({ code: 'storage.missing' })

  const nowhere = new DynamoDBClient({ endpoint: 'http://127.0.0.1:1', maxAttempts: 2 })
  await expect(dynamoState(nowhere, table).read(key)).rejects.toMatchObject({ code: 'state.unavailable' })
  nowhere.destroy()
})
