import * as z from 'zod'
import type { Connector } from '../../shared/connector/connector.ts'
import { runTask } from '../../shared/control/run-task.ts'
import { readEnv } from '../../shared/runtime/env.ts'
import { observed } from '../observed.ts'
import { openProject } from '../project.ts'
import { Env } from './env.ts'

const Event = z.object({
  execution: z.string(),
  run: z.string(),
  pipeline: z.string(),
  task: z.string(),
  attempt: z.number().int(),
})

/** A task stops reading this long before Lambda stops it: a commit and the hand-over must fit. */
const COMMIT_MS = 60_000
const ABORT_MS = 10_000

/** One task of a run: reads and commits until its streams are caught up or the Lambda's time is nearly over. */
export const syncStream = (connector: Connector) =>
  observed(async (event: unknown, context) => {
    const leftMs = context.getRemainingTimeInMillis()
    const project = await openProject(readEnv(Env, process.env), connector)
    const deadlineMs = project.clock.now() + leftMs - Math.min(COMMIT_MS, leftMs / 2)
    const signal = AbortSignal.timeout(Math.floor(leftMs - Math.min(ABORT_MS, leftMs / 5)))
    return runTask(project, { ...Event.parse(event), deadlineMs }, signal)
  })
