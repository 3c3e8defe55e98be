import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { listTables } from '../shared/control/lakehouse.ts'
import type { Project } from '../shared/control/project.ts'
import { events, runs, status } from '../shared/control/status.ts'
import { asIngestError, IngestError } from '../shared/core/errors.ts'
import { errorRecord, exitCodeOf } from './error-text.ts'

export interface ApiServer {
  url: string
  close(): Promise<void>
}

type Answer = (project: Project, query: URLSearchParams) => Promise<unknown>

const answers: Readonly<Record<string, Answer>> = {
  '/api/status': (project) => status(project),
  '/api/runs': (project, query) => runs(project, query.get('pipeline') ?? undefined, Number(query.get('limit')) || 20),
  '/api/events': (project, query) => events(project, query.get('run') ?? undefined),
  '/api/tables': (project) => listTables(project.storage),
}

/**
 * What the command line shows, as JSON over HTTP, on 127.0.0.1 only. It reads and changes nothing.
 *
 * @throws IngestError `local.port_in_use`, `usage.invalid` (fix)
 */
export async function startApiServer(project: Project, port: number): Promise<ApiServer> {
  const server = createServer((request, response) => {
    answer(project, request).then(({ code, body }) => {
      response.writeHead(code, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
      response.end(`${JSON.stringify(project.redactor.value(body))}\n`)
    })
  })
  await new Promise<void>((done, fail) => {
    server.once('error', (cause: NodeJS.ErrnoException) => fail(listenError(cause, port)))
    server.listen(port, '127.0.0.1', done)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}

/** A port as a person gives it, with `--port` or PORT. @throws IngestError `usage.invalid` (fix) */
export function portFrom(text: string | undefined, otherwise: number): number {
  if (text === undefined || text === '') return otherwise
  const port = Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new IngestError('usage.invalid', `a port is a number from 0 (any free one) to 65535, got ${text}`)
  return port
}

async function answer(project: Project, request: IncomingMessage): Promise<{ code: number; body: unknown }> {
  // A page of another site may resolve its own name to this machine: only our own names are answered.
  const host = request.headers.host?.replace(/:\d+$/, '')
  if (host !== '127.0.0.1' && host !== 'localhost')
    return { code: 403, body: { error: 'this server answers 127.0.0.1 only' } }
  const url = new URL(request.url ?? '/', 'http://127.0.0.1')
  if (request.method !== 'GET') return { code: 405, body: { error: 'this API only reads: use GET' } }
  const known = answers[url.pathname]
  if (!known) return { code: url.pathname === '/' ? 200 : 404, body: { paths: Object.keys(answers) } }
  try {
    return { code: 200, body: await known(project, url.searchParams) }
  } catch (error) {
    const ours = asIngestError(error)
    return { code: exitCodeOf(ours) === 2 ? 400 : 500, body: errorRecord(ours, false) }
  }
}

function listenError(cause: NodeJS.ErrnoException, port: number): IngestError {
  if (cause.code === 'EADDRINUSE')
    return new IngestError(
      'local.port_in_use',
      `port ${port} on 127.0.0.1 is taken: choose another with --port or PORT`,
      { cause },
    )
  if (cause.code === 'EACCES')
    return new IngestError(
      'usage.invalid',
      `port ${port} needs rights this user does not have: choose one above 1023`,
      { cause },
    )
  return new IngestError('bug.invariant', cause.message, { cause })
}
