import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { dynamoState } from '../shared/state/dynamodb.ts'

/** Lives as long as the Lambda's environment. */
const client = new DynamoDBClient({})

export const tableState = (table: string) => dynamoState(client, table)
