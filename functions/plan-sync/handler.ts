import * as z from 'zod'
import type { Connector } from '../../shared/connector/connector.ts'
import { checkConnection, discoverConnection } from '../../shared/control/connections.ts'
import { planTasks } from '../../shared/control/plan-tasks.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { observed } from '../observed.ts'
import { openProject } from '../project.ts'
import { Env } from './env.ts'

const RunEvent = z.object({
  execution: z.string(),
  input: z.object({
    pipeline: z.string(),
    cause: z.string().default('JOB_TASK'),
    full_refresh: z.union([z.literal('all'), z.array(z.string()).min(1)]).optional(),
    refresh: z.array(z.string()).min(1).optional(),
  }),
})

/** Asked by the control API, which has no driver and no secrets of its own. */
const QuestionEvent = z.object({ question: z.enum(['check', 'discover']), connection: z.string() })

/** Plans one run: connects, discovers, resolves, and writes down which streams there are. */
export const planSync = (connector: Connector) =>
  observed(async (event: unknown, context) => {
    const signal = AbortSignal.timeout(context.getRemainingTimeInMillis() - 5_000)
    const project = await openProject(readEnv(Env, process.env), connector)
    const question = QuestionEvent.safeParse(event).data
    if (question) {
      const answer = question.question === 'check' ? checkConnection : discoverConnection
      return answer(project, question.connection, signal)
    }
    const { execution, input } = RunEvent.parse(event)
    const { pipeline, cause, full_refresh, refresh } = input
    return planTasks(
      project,
      { pipeline, execution, cause, ...(full_refresh && { fullRefresh: full_refresh }), ...(refresh && { refresh }) },
      signal,
    )
  })
