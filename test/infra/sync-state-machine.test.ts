import { expect, test } from '@jest/globals'
import { definition } from '../../infra/constructs/sync-state-machine.ts'
import { parseSettings } from '../../infra/settings.ts'
import { execute, type Machine, StatesError } from '../rehearsal/state-machine.ts'

const fn = { fn: { functionName: 'finish' } } as never
const machine = definition({
  settings: parseSettings({}),
  planPrefix: 'plan-',
  streamPrefix: 'stream-',
  connectorFunctions: [],
  finish: fn,
  bucketName: 'bucket',
}) as unknown as Machine
const input = { pipeline: 'shop', connector: 'postgres', cause: 'JOB_TASK' }
const planned = { status: 'planned', run: 'run-1', key: '_runs/run-1.json' }

/** Executes a run of `tasks` tasks; `stream` is the Lambda of a task. */
async function run(tasks: number, stream: (task: string, attempt: number) => Promise<unknown>) {
  const waits: number[] = []
  const ports = {
    invoke: async (name: string, payload: unknown) => {
      if (name === 'plan-postgres') return planned
      if (name === 'finish') return { status: 'COMPLETED' }
      const { task, attempt } = payload as { task: string; attempt: number }
      return stream(task, attempt)
    },
    getJson: async () =>
      Array.from({ length: tasks }, (_, i) => ({ task: `schema_${i}.a_table_with_a_long_name_${i}` })),
    sleep: async (seconds: number) => void waits.push(seconds),
    random: () => 1,
  }
  const context = { Execution: { Name: 'run-1', Input: input } }
  return { output: await execute(machine, input, ports, context), waits }
}

test('a pipeline of ten thousand tables keeps to the limit of 256 KB between states', async () => {
  const { output } = await run(10_000, async () => ({ status: 'done' }))

  expect(output).toMatchObject({ summary: { result: { status: 'COMPLETED' } } })
})

test('a task waits as long as its source said, and goes on with the attempt it is told', async () => {
  const seen: number[] = []

  const { waits } = await run(1, async (_task, attempt) => {
    seen.push(attempt)
    return attempt === 0 ? { status: 'retry', retryAfterSeconds: 77, attempt: 1 } : { status: 'done' }
  })

  expect({ seen, waits }).toEqual({ seen: [0, 1], waits: [77] })
})

test.each(['Sandbox.Timedout', 'Lambda.Unknown', 'Runtime.ExitError'])(
  'a task whose Lambda ends with %s is tried four times, not more, and ends alone',
  async (error) => {
    const tried = new Map<string, number>()

    const { output } = await run(2, async (task) => {
      tried.set(task, (tried.get(task) ?? 0) + 1)
      if (task.startsWith('schema_0')) throw new StatesError(error, 'crashed')
      return { status: 'done' }
    })

    expect([...tried.values()].sort()).toEqual([1, 4])
    expect(output).toMatchObject({ summary: { result: { status: 'COMPLETED' } } })
  },
)

test('a throttled Lambda is called again with growing pauses', async () => {
  let calls = 0

  const { waits } = await run(1, async () => {
    if (++calls < 4) throw new StatesError('Lambda.TooManyRequestsException', 'rate exceeded')
    return { status: 'done' }
  })

  expect(waits).toEqual([2, 4, 8])
})
