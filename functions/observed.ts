import { Logger } from '@aws-lambda-powertools/logger'
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware'
import { Metrics } from '@aws-lambda-powertools/metrics'
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware'
import middy from '@middy/core'
import type { Context } from 'aws-lambda'

export const logger = new Logger()
export const metrics = new Metrics()

/**
 * A handler with logs and metrics around it; Lambda itself traces each invocation, its cold start and its error to X-Ray. Events are never logged: they may hold rows and tokens. What a
 * handler throws is a fault of ours or of AWS: Lambda tries again, then the dead letters and their alarm have it.
 */
export const observed = <Event, Result>(handler: (event: Event, context: Context) => Promise<Result>) =>
  middy<Event, Result>()
    .use(injectLambdaContext(logger, { logEvent: false, resetKeys: true }))
    // Only some runs have numbers to tell.
    .use(logMetrics(metrics, { throwOnEmptyMetrics: false }))
    .handler(handler)
