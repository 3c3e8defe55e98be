import { subscribe } from 'node:diagnostics_channel'
import type { ClientRequest } from 'node:http'

/** What one kind of call to AWS added up to. The bytes are the requests' bodies. */
export interface Calls {
  count: number
  /** Each request's bytes in KB, rounded up: DynamoDB's unit of writing. */
  kilobytes: number
  /** Each request's bytes in pieces of 64 KB, rounded up: SQS's unit of a request. */
  chunks: number
}

/** Counts every call of this process to AWS by service and operation: `s3 PUT`, `dynamodb UpdateItem`. `take` returns them and begins anew. */
export function countAwsCalls(): { take(): Record<string, Calls> } {
  let calls: Record<string, Calls> = {}
  subscribe('http.client.request.start', (message) => {
    const { request } = message as { request: ClientRequest }
    const service = /\/([a-z0-9-]+)\/aws4_request/.exec(String(request.getHeader('authorization')))?.[1]
    if (!service) return
    const target = request.getHeader('x-amz-target')
    const listing = request.path.includes('list-type=2') ? 'LIST' : request.method
    const operation = target ? String(target).split('.').at(-1) : listing
    const bytes = Number(request.getHeader('content-length') ?? 0)
    calls[`${service} ${operation}`] ??= { count: 0, kilobytes: 0, chunks: 0 }
    const kind = calls[`${service} ${operation}`]!
    kind.count += 1
    kind.kilobytes += Math.max(1, Math.ceil(bytes / 1024))
    kind.chunks += Math.max(1, Math.ceil(bytes / 65_536))
  })
  return {
    take() {
      const taken = calls
      calls = {}
      return taken
    },
  }
}
