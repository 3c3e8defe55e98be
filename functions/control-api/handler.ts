import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda'
import * as z from 'zod'
import { recipientsOf } from '../../shared/control/notices.ts'
import { connectionNamed, pipelineNamed } from '../../shared/control/project.ts'
import { readStoredSpec, storedSpecText, storeSpec } from '../../shared/control/stored-spec.ts'
import { asIngestError, IngestError } from '../../shared/core/errors.ts'
import { readSpec } from '../../shared/pipeline/read-spec.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { listEvents } from '../../shared/state/events.ts'
import { listRuns } from '../../shared/state/runs.ts'
import { lakehousePorts } from '../lakehouse-ports.ts'
import { observed } from '../observed.ts'
import { Env } from './env.ts'
import { invoke } from './lambda.ts'
import { applySchedules, connectorOf, schedulesOf } from './scheduler.ts'
import { applySubscriptions } from './sns.ts'
import { startExecution } from './step-functions.ts'

type ControlEnv = z.infer<typeof Env>
interface Request {
  env: ControlEnv
  name: string
  body: string
  query: Readonly<Record<string, string | undefined>>
}

const tables = z.array(z.string()).min(1)
const RunBody = z.strictObject({
  full_refresh: z.union([z.literal('all'), tables]).optional(),
  refresh: tables.optional(),
})

/** Method, path with one name in it, and what answers. Everything is said here; `docs/deploy.md` shows each call. */
const routes: readonly [string, RegExp, (request: Request) => Promise<unknown>][] = [
  ['GET', /^\/api\/spec$/, async ({ env }) => ({ text: await storedSpecText(lakehousePorts(env).state) })],
  ['PUT', /^\/api\/spec$/, putSpec],
  ['GET', /^\/api\/pipelines$/, async ({ env }) => Object.keys((await specOf(env)).pipelines ?? {})],
  ['POST', /^\/api\/pipelines\/([^/]+)\/runs$/, startRun],
  ['GET', /^\/api\/pipelines\/([^/]+)\/runs$/, ({ env, name }) => listRuns(lakehousePorts(env).state, name)],
  [
    'GET',
    /^\/api\/pipelines\/([^/]+)\/events$/,
    ({ env, name, query: { run } }) =>
      listEvents(lakehousePorts(env).state, name, { limit: 1000, ...(run && { run }) }),
  ],
  ['POST', /^\/api\/connections\/([^/]+)\/check$/, (request) => ask(request, 'check')],
  ['GET', /^\/api\/connections\/([^/]+)\/tables$/, (request) => ask(request, 'discover')],
]

/** The control API. Only signed callers of this account get here. */
export const handler = observed(async (event: APIGatewayProxyEventV2): Promise<APIGatewayProxyStructuredResultV2> => {
  const { method, path } = event.requestContext.http
  const env = readEnv(Env, process.env)
  const body = Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8').toString('utf8')
  for (const [wanted, pattern, answer] of routes) {
    const match = pattern.exec(path)
    if (wanted !== method || !match) continue
    const name = decodeURIComponent(match[1] ?? '')
    try {
      return reply(200, await answer({ env, name, body, query: event.queryStringParameters ?? {} }))
    } catch (cause) {
      const error = asIngestError(cause)
      if (error.remedy === 'report') throw error
      const { code, remedy, message } = error
      return reply(remedy === 'retry' ? 503 : 400, { error: { code, remedy, message } })
    }
  }
  const message = `there is no ${method} ${path}`
  return reply(404, { error: { code: 'usage.invalid', remedy: 'fix', message } })
})

const reply = (statusCode: number, value: unknown) => ({
  statusCode,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value ?? null),
})

const specOf = async (env: ControlEnv) => (await readStoredSpec(lakehousePorts(env).state)).spec

/** Schedules follow the stored configuration: stored first, so that a crash between the two is healed by storing again. */
async function putSpec({ env, body }: Request) {
  const { state } = lakehousePorts(env)
  const deployed = env.CONNECTORS.split(',')
  const next = readSpec(body, 'lakeflow.yml')
  for (const [name, { type }] of Object.entries(next.spec.connections ?? {})) {
    if (deployed.includes(type)) continue
    const message = `connection ${name} is of type ${type}, and this deployment has ${deployed.join(', ')}; add it to the deploy settings`
    throw new IngestError('config.invalid', message)
  }
  const schedules = schedulesOf(next.spec)
  const text = await storedSpecText(state)
  await storeSpec(state, body)
  await applySchedules(next.spec, text === undefined ? undefined : readSpec(text, 'lakeflow.yml').spec, {
    group: env.SCHEDULE_GROUP,
    stateMachineArn: env.STATE_MACHINE_ARN,
    roleArn: env.SCHEDULE_ROLE_ARN,
    deadLettersArn: env.SCHEDULE_DEAD_LETTERS_ARN,
    windowMinutes: env.SCHEDULE_WINDOW_MINUTES,
  })
  await applySubscriptions(recipientsOf(next.spec.pipelines), env.NOTICES_TOPIC_ARN)
  return { notes: next.notes, schedules: Object.fromEntries(schedules) }
}

async function startRun({ env, name, body }: Request) {
  const spec = await specOf(env)
  pipelineNamed({ spec }, name)
  const parsed = RunBody.safeParse(body ? jsonOf(body) : {})
  if (!parsed.success) throw new IngestError('usage.invalid', z.prettifyError(parsed.error))
  const input = { pipeline: name, connector: connectorOf(spec, name), cause: 'API_CALL', ...parsed.data }
  return { execution: await startExecution(env.STATE_MACHINE_ARN, input) }
}

async function ask({ env, name }: Request, question: 'check' | 'discover') {
  const { type } = connectionNamed({ spec: await specOf(env) }, name)
  return invoke(`${env.PLAN_PREFIX}${type}`, { question, connection: name })
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new IngestError('usage.invalid', 'the body is not JSON', { cause })
  }
}
