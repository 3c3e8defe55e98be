import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { countAwsCalls } from './aws-calls.ts'
import type { Reply } from './lambda-host.ts'
import { resolveFromLayers } from './layer-modules.ts'

/** The inside of one Lambda environment: loads the bundle, then handles one event at a time. */
resolveFromLayers()
const calls = countAwsCalls()
const [folder, handlerName] = process.argv.slice(2) as [string, string]
const [file, exported] = handlerName.split('.') as [string, string]
const path = [`${file}.mjs`, `${file}.js`].map((name) => join(folder, name)).find(existsSync)
if (!path) throw new Error(`no ${file}.mjs in ${folder}`)
const module = (await import(pathToFileURL(path).href)) as Record<string, (event: unknown, context: unknown) => unknown>
const handler = module[exported]
if (!handler) throw new Error(`${path} exports no ${exported}`)

const send = (reply: Reply) => process.send!(reply)
let requests = 0

process.on('message', async ({ payload, deadlineMs }: { payload: string; deadlineMs: number }) => {
  const started = performance.now()
  const cpu = process.cpuUsage()
  const measured = () => ({
    durationMs: performance.now() - started,
    cpuMs: cpuMsSince(cpu),
    calls: calls.take(),
    maxRssMb: process.resourceUsage().maxRSS / 1024,
  })
  const context = {
    awsRequestId: `request-${++requests}`,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    invokedFunctionArn: `arn:aws:lambda:us-east-1:123456789012:function:${process.env.AWS_LAMBDA_FUNCTION_NAME}`,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    getRemainingTimeInMillis: () => deadlineMs - Date.now(),
    callbackWaitsForEmptyEventLoop: false,
  }
  try {
    const result = JSON.stringify(await handler(JSON.parse(payload), context))
    send({ ...measured(), ...(result !== undefined && { result }) })
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error))
    send({ ...measured(), error: { name, message } })
  }
})

// What loading the bundle took is the environment's start, which Lambda bills since August 2025.
send({ durationMs: 0, cpuMs: cpuMsSince({ user: 0, system: 0 }), calls: calls.take(), maxRssMb: 0 })

function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
