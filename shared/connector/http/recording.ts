import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { IngestError } from '../../core/errors.ts'
import { Redactor } from '../../core/redactor.ts'

/** One exchange as it is kept: `000001.json`, and beside it `000001.body` with the body as it was decoded. */
interface Exchange {
  method: string
  url: string
  body?: string
  status: number
  headers: Record<string, string>
  durationMs: number
}

const SECRET_NAME = /token|secret|password|assertion|signature|authorization|cookie|session|api[-_]?key|credential/i
const MASK = '[redacted]'
/** Larger answers are pages of data, and are kept as they pass. */
const MAX_MASKED_BYTES = 1 << 20

/**
 * A fetch that also writes every exchange into a folder, for a support case: secrets are masked by value (`secrets`) and
 * by name, in addresses, headers, forms and JSON. Rows are kept as they are: the folder holds the source's data.
 */
export function recordingFetch(inner: typeof fetch, folder: string, secrets: readonly string[]): typeof fetch {
  mkdirSync(folder, { recursive: true })
  const redactor = new Redactor()
  for (const secret of secrets) redactor.add(secret)
  let number = readdirSync(folder).filter((name) => name.endsWith('.json')).length
  return async (input, init) => {
    const name = join(folder, String(++number).padStart(6, '0'))
    const startedAt = performance.now()
    const response = await inner(input, init)
    const exchange: Exchange = {
      method: init?.method ?? 'GET',
      url: maskedUrl(String(input), redactor),
      ...(typeof init?.body === 'string' && { body: maskedBody(init.body, redactor) }),
      status: response.status,
      headers: maskedHeaders(response.headers, redactor),
      durationMs: Math.round(performance.now() - startedAt),
    }
    writeFileSync(`${name}.json`, `${JSON.stringify(exchange, null, 2)}\n`)
    if (!response.body) return response
    return keepBody(response, `${name}.body`, redactor)
  }
}

/** Answers from a folder that `recordingFetch` wrote, in its order for each request; never touches the network. */
export function replayingFetch(folder: string, secrets: readonly string[]): typeof fetch {
  if (!existsSync(folder))
    throw new IngestError('config.invalid', `there is no folder ${folder} with recorded requests`)
  const redactor = new Redactor()
  for (const secret of secrets) redactor.add(secret)
  const waiting = new Map<string, string[]>()
  for (const name of readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()) {
    const exchange = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Exchange
    const key = keyOf(exchange.method, exchange.url, exchange.body)
    waiting.set(key, [...(waiting.get(key) ?? []), join(folder, name)])
  }
  return async (input, init) => {
    const url = maskedUrl(String(input), redactor)
    const body = typeof init?.body === 'string' ? maskedBody(init.body, redactor) : undefined
    const left = waiting.get(keyOf(init?.method ?? 'GET', url, body)) ?? []
    // What is asked more often than it was recorded has the last answer again.
    const file = left.length > 1 ? left.shift() : left[0]
    if (file === undefined)
      throw new IngestError('config.invalid', `the recording in ${folder} has no ${init?.method ?? 'GET'} ${url}`)
    const { status, headers } = JSON.parse(readFileSync(file, 'utf8')) as Exchange
    const bodyFile = file.replace(/json$/, 'body')
    const noBody = status === 204 || status === 304 || !existsSync(bodyFile)
    return new Response(noBody ? null : readFileSync(bodyFile), { status, headers })
  }
}

/** One line a request to `write`: when, what, how long, how it ended. Secrets are masked as in a recording. */
export function loggingFetch(
  inner: typeof fetch,
  write: (line: string) => void,
  secrets: readonly string[],
): typeof fetch {
  const redactor = new Redactor()
  for (const secret of secrets) redactor.add(secret)
  return async (input, init) => {
    const startedAt = performance.now()
    const told = (outcome: object) =>
      write(
        `${JSON.stringify({
          at: new Date().toISOString(),
          method: init?.method ?? 'GET',
          url: maskedUrl(String(input), redactor),
          ms: Math.round(performance.now() - startedAt),
          ...outcome,
        })}\n`,
      )
    try {
      const response = await inner(input, init)
      told({ status: response.status })
      return response
    } catch (error) {
      told({ error: redactor.text(error instanceof Error ? error.message : String(error)) })
      throw error
    }
  }
}

const keyOf = (method: string, url: string, body: string | undefined) => `${method} ${url} ${body ?? ''}`

/** Small texts are masked; a body that grows larger is written as it passes, so that memory stays bounded. */
function keepBody(response: Response, file: string, redactor: Redactor): Response {
  let held: Uint8Array[] = []
  let size = 0
  let out: ReturnType<typeof createWriteStream> | undefined
  const kept = new TransformStream<Uint8Array, Uint8Array>({
    async transform(chunk, controller) {
      size += chunk.length
      if (size <= MAX_MASKED_BYTES) held.push(chunk.slice())
      else {
        out ??= createWriteStream(file)
        for (const part of [...held, chunk])
          if (!out.write(part)) await new Promise<void>((done) => out!.once('drain', () => done()))
        held = []
      }
      controller.enqueue(chunk)
    },
    async flush() {
      if (!out) return writeFileSync(file, maskedBody(Buffer.concat(held).toString('utf8'), redactor))
      out.end()
      await finished(out)
    },
  })
  const { status, statusText } = response
  const headers = new Headers(response.headers)
  // The body is decoded already.
  headers.delete('content-encoding')
  headers.delete('content-length')
  return new Response(response.body!.pipeThrough(kept), { status, statusText, headers })
}

function maskedUrl(text: string, redactor: Redactor): string {
  const url = new URL(text)
  url.username = ''
  url.password = ''
  for (const name of [...url.searchParams.keys()]) if (SECRET_NAME.test(name)) url.searchParams.set(name, MASK)
  return redactor.text(url.href)
}

function maskedHeaders(headers: Headers, redactor: Redactor): Record<string, string> {
  return Object.fromEntries(
    [...headers]
      .filter(([name]) => name !== 'content-encoding' && name !== 'content-length' && name !== 'transfer-encoding')
      .map(([name, value]) => [name, SECRET_NAME.test(name) ? MASK : redactor.text(value)]),
  )
}

function maskedBody(text: string, redactor: Redactor): string {
  if (/^\s*[{[]/.test(text))
    try {
      return redactor.text(JSON.stringify(maskedValue(JSON.parse(text))))
    } catch {
      return redactor.text(text)
    }
  if (!/^[\w.~%+-]+=/.test(text)) return redactor.text(text)
  const form = new URLSearchParams(text)
  for (const name of [...form.keys()]) if (SECRET_NAME.test(name)) form.set(name, MASK)
  return redactor.text(form.toString())
}

function maskedValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(maskedValue)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      typeof item === 'string' && SECRET_NAME.test(name) && !/^token_type$/.test(name) ? MASK : maskedValue(item),
    ]),
  )
}
