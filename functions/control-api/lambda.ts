import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda'
import { IngestError } from '../../shared/core/errors.ts'

const client = new LambdaClient({})

/** @throws IngestError `bug.invariant` (report) with what the function threw */
export async function invoke(FunctionName: string, payload: unknown): Promise<unknown> {
  const reply = await client.send(new InvokeCommand({ FunctionName, Payload: Buffer.from(JSON.stringify(payload)) }))
  const value = JSON.parse(Buffer.from(reply.Payload ?? []).toString('utf8') || 'null')
  if (reply.FunctionError) throw new IngestError('bug.invariant', `${FunctionName} failed: ${value?.errorMessage}`)
  return value
}
