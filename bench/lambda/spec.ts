import type { Account } from '../../test/rehearsal/account.ts'
import { LambdaHost } from '../../test/rehearsal/lambda-host.ts'

export const prefix = 'rehearsal-lakeflow-'
export const bucket = 'rehearsal-lakeflow-123456789012-us-east-1'

/** Stores the deployment's configuration as its operator would, through the control API. */
export async function storeSpec(account: Account, env: Record<string, string>, text: string): Promise<void> {
  using host = new LambdaHost(account.functions, env)
  const event = {
    version: '2.0',
    rawPath: '/api/spec',
    requestContext: { http: { method: 'PUT', path: '/api/spec' } },
    isBase64Encoded: false,
    body: text,
  }
  const { result } = await host.invoke(account.routes.get('ANY /api/{proxy+}')!, event)
  const { statusCode, body } = result as { statusCode: number; body: string }
  if (statusCode !== 200) throw new Error(body)
}
