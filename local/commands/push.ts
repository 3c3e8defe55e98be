import { type FileHandle, open, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import {
  RejectedRecordsError,
  type StreamOptions,
  ZerobusError,
  ZerobusSdk,
  type ZerobusStream,
} from '../../sdk/index.ts'
import { IngestError } from '../../shared/core/errors.ts'
import type { Command, CommandContext } from '../command.ts'
import { type RememberedSend, rememberedSend } from '../push/remembered-send.ts'
import { pushDeadLetters } from '../push/send-dead-letters.ts'
import { DEFAULT_PUSH_PORT, projectToken, startProjectPush } from '../push/settings.ts'

const DRAW_MS = 200

export const push: Command = {
  name: 'push',
  summary: 'Send events to a table: each line of a file, or of standard input, is one JSON object.',
  arguments: [
    { name: 'table', required: true },
    { name: 'file', required: false },
  ],
  options: {
    url: { kind: 'text', value: 'url', describe: 'Another server than the one of this project.' },
    token: { kind: 'text', value: 'token', describe: "Default: the project's own." },
    name: {
      kind: 'text',
      value: 'name',
      describe: 'Of this send, to go on with after a kill. Default: the path of the file.',
    },
    again: { kind: 'flag', describe: 'Send all of the input, also what an earlier send that was stopped has stored.' },
    'dead-letters': {
      kind: 'flag',
      describe: 'Send again what was acknowledged and then did not fit the table, and forget it once it is stored.',
    },
    create: { kind: 'flag', describe: 'Create the table from the first records, where that is allowed.' },
  },
  details: [
    'Sends to the server of lakeflow start when it runs, else to one that runs as long as the command. Done means that every',
    'record is in the table. Records that do not fit the table are listed and left out, and the exit code is 1.',
    '',
    'A send that was stopped or killed goes on where it was when the same command is run again: nothing is stored twice. Of',
    'standard input that holds with --name, and the same input.',
  ].join('\n'),
  examples: [
    { command: 'lakeflow push main.events.clicks clicks.ndjson', what: 'A file.' },
    { command: 'tail -f app.log | lakeflow push main.events.log', what: 'Whatever comes.' },
    {
      command: 'zcat monday.gz | lakeflow push main.events.log --name monday',
      what: 'Run again after a kill, it stores the rest.',
    },
    {
      command: 'lakeflow push main.events.clicks --dead-letters',
      what: 'What was set aside, once the table fits again.',
    },
  ],
  async run(context) {
    const { arguments: given, options, folder } = context
    if (options.flag('dead-letters')) return pushDeadLetters(context, given.table!, await findServer(context))
    const path = given.file === undefined ? undefined : resolve(folder, given.file)
    await using file = path === undefined ? undefined : await openFile(path)
    const input = file?.createReadStream({ autoClose: false }) ?? process.stdin
    await using server = await findServer(context)
    const send = await earlierSend(context, server.folder, path)
    const progress = new Progress(context)
    const sdk = new ZerobusSdk(server.url, { token: server.token })
    const stream = await sdk
      .createStream(
        { tableName: given.table! },
        {
          ...progress.callbacks,
          compression: 'none',
          ...(options.flag('create') ? { createTable: true } : {}),
          ...(send?.session === undefined ? {} : { session: send.session }),
        },
      )
      .catch((error) => {
        throw asOurs(error)
      })
    try {
      await send?.begin(stream.sessionId!)
      const done = Number(stream.nextOffset)
      if (done > 0) context.output.note(`going on after ${done} records of an earlier send`)
      const whole = await sendLines(stream, input, context.signal, progress, done)
      if (stream.nextOffset > 0n) await stream.waitForCommit(stream.nextOffset - 1n).catch(unlessRejected)
      await stream.close()
      if (!whole && path !== undefined) return progress.stopped()
      await send?.end()
    } catch (error) {
      throw asOurs(error)
    }
    return progress.finish(given.table!)
  },
}

/** Undefined for standard input without a name: nobody could say that it is the same again. */
async function earlierSend(
  { arguments: given, options }: CommandContext,
  folder: string,
  path: string | undefined,
): Promise<RememberedSend | undefined> {
  const name = options.text('name') ?? path
  if (name === undefined) return undefined
  const found = path === undefined ? undefined : await stat(path)
  const file = found?.isFile() ? { sizeBytes: found.size, modifiedMs: found.mtimeMs } : undefined
  const what = { url: options.text('url'), table: given.table!, name, file }
  return rememberedSend(folder, what, options.flag('again'))
}

/** Sends every record of the input but the first `done`. False when it was stopped before the end. */
async function sendLines(
  stream: ZerobusStream,
  input: NodeJS.ReadableStream,
  signal: AbortSignal,
  progress: Progress,
  done: number,
): Promise<boolean> {
  let rest = ''
  const send = async (lines: string[]) => {
    const records = lines.filter((line) => line.trim() !== '')
    const skipped = Math.min(records.length, Math.max(0, done - progress.sent))
    progress.sent += records.length
    await stream.ingestRecordsOffset(records.slice(skipped))
  }
  for await (const chunk of input.setEncoding('utf8')) {
    if (signal.aborted) return false
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    await send(lines)
  }
  await send([rest])
  return true
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    if ((await stat(path)).isDirectory()) throw new Error('it is a folder')
    return await open(path)
  } catch (cause) {
    throw new IngestError('usage.invalid', `${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
}

/** The running server of the project, or one of its own for the time of the command. */
async function findServer({ open: openProject, options, file }: CommandContext) {
  const url = options.text('url')
  const token = options.text('token')
  const nothing = async () => {}
  if (url !== undefined && token !== undefined)
    return { url, token, folder: join(dirname(file), '.lakeflow'), [Symbol.asyncDispose]: nothing }
  const project = await openProject()
  const folder = dirname(project.scratch)
  const port = project.spec.push?.port ?? DEFAULT_PUSH_PORT
  const running = url ?? `http://${project.spec.push?.host ?? '127.0.0.1'}:${port}`
  const known = { folder, token: token ?? (await projectToken(project)) }
  if (url !== undefined || (await answers(running))) return { ...known, url: running, [Symbol.asyncDispose]: nothing }
  const server = await startProjectPush(project, { port: 0 })
  return { ...known, url: server.url, [Symbol.asyncDispose]: () => server.close() }
}

const answers = (url: string) =>
  fetch(url).then(
    () => true,
    () => false,
  )

class Progress {
  sent = 0
  #durable = 0
  #committed = 0
  #rejected = 0
  #drawnMs = 0
  readonly #startedMs = Date.now()
  readonly #context: CommandContext

  constructor(context: CommandContext) {
    this.#context = context
  }

  get callbacks(): StreamOptions {
    return {
      onAck: (offset) => this.#draw({ durable: Number(offset) + 1 }),
      onCommit: (offset) => this.#draw({ committed: Number(offset) + 1 }),
      onReject: (rejections, count) => {
        this.#rejected += count
        for (const { offset, column, code, got, wanted } of rejections.slice(0, 5))
          this.#context.output.error(`record ${offset + 1}: ${column} ${code}, got ${got}, wanted ${wanted}`)
      },
    }
  }

  finish(table: string): number {
    const { output } = this.#context
    output.draw([])
    const seconds = (Date.now() - this.#startedMs) / 1000
    const counts = { records: this.sent, committed: this.sent - this.#rejected, rejected: this.#rejected }
    if (output.json) output.record({ type: 'pushed', table, ...counts, seconds })
    else
      output.line(
        `${counts.committed} records are in ${table}${this.#rejected ? `, ${this.#rejected} did not fit and were left out` : ''} (${seconds.toFixed(1)} s)`,
      )
    return this.#rejected > 0 ? 1 : 0
  }

  /** Ctrl-C before the end of a file. */
  stopped(): number {
    this.#context.output.draw([])
    this.#context.output.note(`stopped after ${this.sent} records; the same command goes on after them`)
    return 1
  }

  #draw({ durable = this.#durable, committed = this.#committed }: { durable?: number; committed?: number }) {
    this.#durable = durable
    this.#committed = committed
    const now = Date.now()
    if (now - this.#drawnMs < DRAW_MS) return
    this.#drawnMs = now
    this.#context.output.draw([`  ${this.sent} sent, ${durable} durable, ${committed} in the table`])
  }
}

function unlessRejected(error: unknown) {
  if (!(error instanceof RejectedRecordsError)) throw error
}

/** The client's error as the command line prints them. */
function asOurs(error: unknown): unknown {
  if (!(error instanceof ZerobusError)) return error
  const code = error.code === 'push.unauthenticated' || error.code === 'push.not_permitted' ? error.code : undefined
  return new IngestError(code ?? (error.isRetryable ? 'push.unreachable' : 'usage.invalid'), error.message, {
    cause: error,
  })
}
