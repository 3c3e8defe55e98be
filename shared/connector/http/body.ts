import { IngestError } from '../../core/errors.ts'
import { IncompleteBody } from './errors.ts'

/** The chunks of a body. A source that sends nothing for `idleMs` fails as one that is gone. */
export async function* bodyChunks(
  response: Response,
  { idleMs, abort }: { idleMs: number; abort: (reason: Error) => void },
): AsyncGenerator<Uint8Array, void, undefined> {
  if (!response.body) return
  const declared = response.headers.has('content-encoding') ? null : response.headers.get('content-length')
  let received = 0
  const watch = setTimeout(() => abort(new Error(`nothing came for ${idleMs} ms`)), idleMs)
  try {
    for await (const chunk of response.body) {
      watch.refresh()
      received += chunk.length
      yield chunk
      watch.refresh()
    }
  } finally {
    clearTimeout(watch)
  }
  if (declared !== null && Number(declared) !== received)
    throw new IncompleteBody(`the body ended after ${received} of ${declared} bytes`)
}

/** A whole body of at most `maxBytes`. */
export async function wholeBody(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const chunk of chunks) {
    size += chunk.length
    if (size > maxBytes)
      throw new IngestError('source.protocol_violation', `the source sent more than ${maxBytes} bytes in one answer`)
    parts.push(chunk)
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}
