import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { systemClock } from '../../shared/core/clock.ts'
import { asIngestError, type IngestError } from '../../shared/core/errors.ts'
import { portFrom, startApiServer } from '../api-server.ts'
import type { Command, CommandContext } from '../command.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../embedded-postgres.ts'
import { errorText } from '../error-text.ts'
import { count, duration } from '../numbers.ts'
import { ProgressDisplay } from '../progress-display.ts'
import { projectToken, startProjectPush } from '../push/settings.ts'
import { runScheduler } from '../scheduler.ts'
import { CLICKS, type Clicks, sendClicks } from './clicks.ts'
import { changeShop, fillShop, shopSize } from './shop-source.ts'

const DEFAULT_PORT = 8321
const CHANGE_INTERVAL_MS = 2000
const CHANGED_ORDERS = 25
const DRAW_MS = 500
const pipeline = 'shop'

/** `npm start`: the whole system on one machine, with a real source that keeps changing and a producer that pushes. */
export const demo: Command = {
  name: 'demo',
  summary: 'A shop on a real PostgreSQL copied into Delta tables, and its clicks pushed into one more, until Ctrl-C.',
  options: {
    port: {
      kind: 'text',
      value: 'port',
      describe: `Port of the API on 127.0.0.1. Default PORT, else ${DEFAULT_PORT}; 0 takes a free one.`,
    },
    'push-port': {
      kind: 'text',
      value: 'port',
      describe: 'Port of the push server on 127.0.0.1. Default as in lakeflow.yml, else 8480; 0 takes a free one.',
    },
    once: { kind: 'flag', describe: 'Copy, change the source, copy the changes, and end.' },
  },
  examples: [
    { command: 'npm start', what: 'Until Ctrl-C. The next start goes on from there.' },
    { command: 'npm start -- --port 9000', what: 'With the API on another port.' },
  ],
  async run(context) {
    const { options, output, open, env, file } = context
    const project = await open()
    await using stack = new AsyncDisposableStack()
    const api = await startApiServer(project, portFrom(options.text('port') ?? env.PORT, DEFAULT_PORT))
    stack.defer(() => api.close())
    output.line('A shop database on a real PostgreSQL, copied into Delta tables and kept current. Ctrl-C ends it.')
    const postgres = await startSource(context, join(dirname(file), '.lakeflow', 'demo'))
    stack.defer(() => postgres.stop())
    output.line(`API on ${api.url}/api/status`)
    const { server, clicks } = await startClicks(context)
    stack.defer(() => server.close())
    stack.defer(async () => {
      await clicks.stop()
      output.line(`${count(clicks.acknowledged)} clicks pushed, every one acknowledged`)
    })
    await follow(context, postgres.url, clicks)
    await stack.disposeAsync()
    output.line('stopped; the next npm start goes on from here')
    return 0
  },
}

/** Starts PostgreSQL, fills the shop the first time, and leaves its address where the example's connection looks. */
async function startSource({ output }: CommandContext, folder: string): Promise<EmbeddedPostgres> {
  await mkdir(folder, { recursive: true })
  const begin = systemClock.now()
  const postgres = await startEmbeddedPostgres({ dataFolder: join(folder, 'postgres') })
  try {
    output.line(`PostgreSQL on 127.0.0.1:${postgres.port}, up in ${duration(systemClock.now() - begin)}`)
    const filling = systemClock.now()
    if (await fillShop(postgres.url)) {
      const rows = Object.entries(shopSize).map(([table, size]) => `${count(size)} ${table.replace('_', ' ')}`)
      output.line(`filled with ${rows.join(', ')} in ${duration(systemClock.now() - filling)}`)
    } else output.line('the shop is as the last start left it')
    await writeFile(join(folder, 'port'), `${postgres.port}\n`)
    await writeFile(join(folder, 'password'), `${postgres.password}\n`, { mode: 0o600 })
    return postgres
  } catch (error) {
    await postgres.stop()
    throw error
  }
}

/** The push server, as `lakeflow start` has it, and a producer of this same process that pushes to it over its WebSocket. */
async function startClicks({ options, output, open }: CommandContext) {
  const project = await open()
  const port = options.text('push-port')
  const failed = (error: IngestError) => output.error(`push: ${errorText(error, options.flag('debug'))}`)
  const server = await startProjectPush(project, {
    events: { failed },
    ...(port === undefined ? {} : { port: portFrom(port, 0) }),
  })
  try {
    const clicks = await sendClicks(server.url, await projectToken(project), (error) => failed(asIngestError(error)))
    output.line(`push on ${server.url}, where ${clicks.perSecond} clicks a second now go into ${CLICKS}`)
    return { server, clicks }
  } catch (error) {
    await server.close()
    throw error
  }
}

async function follow({ options, output, open, signal }: CommandContext, url: string, clicks: Clicks): Promise<void> {
  const project = await open()
  const end = new AbortController()
  const until = AbortSignal.any([signal, end.signal])
  const display = new ProgressDisplay(output, pipeline, { now: project.clock.now, quiet: true, records: output.json })
  let completed = 0
  let changed = 0
  let nextMs: number | undefined
  const drawing = setInterval(() => {
    if (nextMs === undefined) return
    const wait = duration(Math.max(0, nextMs - project.clock.now()))
    output.draw([`  next run in ${wait}; ${clicksText(clicks)}`])
  }, DRAW_MS)
  let failure: unknown
  const changes = keepChanging(url, until, (rows) => (changed += rows)).catch((error) => {
    failure = error
    end.abort()
  })
  try {
    await runScheduler(project, until, {
      onNext: (_, atMs) => {
        nextMs = atMs
      },
      onStart: () => {
        nextMs = undefined
        if (changed > 0) output.line(`the shop changed ${count(changed)} rows; ${clicksText(clicks)}`)
        changed = 0
      },
      onNote: (_, note) => display.note(note),
      onProgress: (_, progress) => display.report(progress),
      onEnd: (_, run) => {
        display.finish(run)
        if (run.state === 'COMPLETED') completed++
        if (completed === 1) for (const line of nextSteps) output.line(line)
        if (options.flag('once') && (completed === 2 || run.state === 'FAILED')) end.abort()
      },
      onError: (_, error) => output.error(errorText(error, options.flag('debug'))),
    })
  } finally {
    end.abort()
    clearInterval(drawing)
    await changes
  }
  if (failure) throw failure
}

const clicksText = ({ sent, acknowledged, committed }: Clicks) =>
  `${count(sent)} clicks pushed, ${count(acknowledged)} acknowledged, ${count(committed)} in ${CLICKS}`

async function keepChanging(url: string, signal: AbortSignal, onChange: (rows: number) => void): Promise<void> {
  for (;;) {
    try {
      await systemClock.sleep(CHANGE_INTERVAL_MS, signal)
    } catch {
      return
    }
    try {
      onChange(await changeShop(url, CHANGED_ORDERS))
    } catch (error) {
      if (!signal.aborted) throw asIngestError(error)
    }
  }
}

const nextSteps = [
  '',
  'The tables are in ./lakehouse. In another terminal:',
  '  npx lakeflow query "show tables"',
  '  npx lakeflow query "select state, count(*) orders, sum(total) total from main.shop.orders group by all order by 1"',
  '  npx lakeflow query "select count(*) from main.shop.orders version as of 1"',
  '  npx lakeflow query "select page, count(*) clicks, max(clicked_at) newest from main.events.clicks group by all order by 2 desc"',
  '  npx lakeflow status',
  '  npx lakeflow discover shop_db --table orders',
  '',
  'The shop keeps changing, its clicks keep coming, and the tables follow:',
]
