import { isDeepStrictEqual } from 'node:util'

/**
 * A small interpreter of the Amazon States Language (JSONPath flavour) for the rehearsal: it executes the synthesized
 * definition itself. It knows what our machine uses and refuses by name everything else, so that a definition it cannot
 * run truthfully is red, not green.
 */
export interface Machine {
  StartAt: string
  States: Record<string, State>
  Comment?: string
}

export type State = { Type: string; [field: string]: unknown }
export type Value = unknown

export interface Ports {
  /** Invokes a Lambda; rejects with an error whose `name` is the States Language error name. */
  invoke(functionName: string, payload: Value): Promise<Value>
  /** Reads an S3 object as JSON, for the map's ItemReader. */
  getJson(bucket: string, key: string): Promise<Value>
  sleep(seconds: number): Promise<void>
  /** Fraction in [0, 1) for full jitter. */
  random(): number
  /** Called at every state transition: what Step Functions bills. */
  entered?(state: string): void
}

export class StatesError extends Error {
  constructor(name: string, cause: string) {
    super(cause)
    this.name = name
  }
}

/** Most bytes of JSON a state may take or give (Step Functions quota). */
const MAX_PAYLOAD_BYTES = 262_144

const fieldsOf: Record<string, readonly string[]> = {
  Task: ['Resource', 'Parameters', 'ResultSelector', 'ResultPath', 'Retry', 'Catch', 'Next', 'End', 'TimeoutSeconds'],
  Pass: ['Parameters', 'Result', 'ResultPath', 'Next', 'End'],
  Choice: ['Choices', 'Default'],
  Wait: ['Seconds', 'SecondsPath', 'Next', 'End'],
  Map: [
    'ItemReader',
    'ItemSelector',
    'ItemProcessor',
    'MaxConcurrency',
    'ToleratedFailurePercentage',
    'ResultPath',
    'Retry',
    'Catch',
    'Next',
    'End',
  ],
  Succeed: [],
  Fail: ['Error', 'Cause'],
}

/** Runs the machine to its end; returns its output or throws the StatesError it failed with. */
export async function execute(machine: Machine, input: Value, ports: Ports, context: Value = {}): Promise<Value> {
  let name = machine.StartAt
  let data = input
  for (;;) {
    const state = machine.States[name]
    if (!state) throw new Error(`the machine has no state "${name}"`)
    refuseUnknown(name, state)
    checkSize(name, data)
    ports.entered?.(name)
    const step = await run(state, data, ports, context)
    data = step.data
    checkSize(name, data)
    if (step.next === undefined) return data
    name = step.next
  }
}

interface Step {
  data: Value
  next: string | undefined
}

async function run(state: State, data: Value, ports: Ports, context: Value): Promise<Step> {
  const next = state.Next as string | undefined
  switch (state.Type) {
    case 'Succeed':
      return { data, next: undefined }
    case 'Fail':
      throw new StatesError(String(state.Error), String(state.Cause))
    case 'Wait':
      await ports.sleep(Number(state.SecondsPath ? at(data, String(state.SecondsPath)) : state.Seconds))
      return { data, next }
    case 'Pass': {
      const made = state.Parameters ? template(state.Parameters, data, context) : data
      return { data: put(data, state.Result ?? made, state.ResultPath), next }
    }
    case 'Choice': {
      const choice = (state.Choices as Rule[]).find((rule) => holds(rule, data))
      const chosen = choice?.Next ?? (state.Default as string | undefined)
      if (!chosen) throw new StatesError('States.NoChoiceMatched', 'no rule matched and there is no default')
      return { data, next: chosen }
    }
    case 'Task':
      return attempt(state, data, ports, () => task(state, data, ports, context))
    case 'Map':
      return attempt(state, data, ports, () => map(state, data, ports, context))
    default:
      throw new Error(`states of type ${state.Type} are not executed`)
  }
}

async function task(state: State, data: Value, ports: Ports, context: Value): Promise<Value> {
  if (state.Resource !== 'arn:aws:states:::lambda:invoke') throw new Error(`resource ${state.Resource} is not executed`)
  const parameters = template(state.Parameters, data, context) as { FunctionName: string; Payload: Value }
  const reply = { Payload: await ports.invoke(parameters.FunctionName, parameters.Payload), StatusCode: 200 }
  return state.ResultSelector ? template(state.ResultSelector, reply, context) : reply
}

async function map(state: State, data: Value, ports: Ports, context: Value): Promise<Value> {
  const reader = state.ItemReader as { Resource: string; Parameters: Value; ReaderConfig: { InputType: string } }
  if (reader?.Resource !== 'arn:aws:states:::s3:getObject' || reader.ReaderConfig.InputType !== 'JSON') {
    throw new Error('only a distributed map over a JSON object in S3 is executed')
  }
  const source = template(reader.Parameters, data, context) as { Bucket: string; Key: string }
  const items = await ports.getJson(source.Bucket, source.Key)
  if (!Array.isArray(items)) throw new StatesError('States.ItemReaderFailed', 'the object is not a JSON array')

  const results: Value[] = new Array(items.length)
  let failed = 0
  let index = 0
  const worker = async () => {
    while (index < items.length) {
      const mine = index++
      const itemContext = { ...(context as object), Map: { Item: { Index: mine, Value: items[mine] } } }
      const input = state.ItemSelector ? template(state.ItemSelector, data, itemContext) : items[mine]
      try {
        results[mine] = await execute(state.ItemProcessor as Machine, input, ports, itemContext)
      } catch (error) {
        if (!(error instanceof StatesError)) throw error
        failed++
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(items.length, Number(state.MaxConcurrency ?? 1000)) }, worker))
  if (items.length && (100 * failed) / items.length > Number(state.ToleratedFailurePercentage ?? 0)) {
    throw new StatesError('States.ExceedToleratedFailureThreshold', `${failed} of ${items.length} items failed`)
  }
  // Without a ResultWriter the service collects them before ResultPath may drop them.
  checkSize('the results of a map', results)
  return results
}

interface Retrier {
  ErrorEquals: string[]
  IntervalSeconds?: number
  MaxAttempts?: number
  BackoffRate?: number
  MaxDelaySeconds?: number
  JitterStrategy?: 'FULL' | 'NONE'
}

async function attempt(state: State, data: Value, ports: Ports, work: () => Promise<Value>): Promise<Step> {
  const used = new Map<Retrier, number>()
  for (;;) {
    try {
      return { data: put(data, await work(), state.ResultPath), next: state.Next as string | undefined }
    } catch (error) {
      if (!(error instanceof StatesError)) throw error
      const retrier = ((state.Retry as Retrier[]) ?? []).find((r) => matches(r.ErrorEquals, error.name))
      const count = retrier ? (used.get(retrier) ?? 0) : 0
      if (retrier && count < (retrier.MaxAttempts ?? 3)) {
        used.set(retrier, count + 1)
        const delay = (retrier.IntervalSeconds ?? 1) * (retrier.BackoffRate ?? 2) ** count
        const capped = Math.min(delay, retrier.MaxDelaySeconds ?? Number.POSITIVE_INFINITY)
        await ports.sleep(retrier.JitterStrategy === 'FULL' ? capped * ports.random() : capped)
        continue
      }
      const catcher = ((state.Catch as { ErrorEquals: string[]; ResultPath?: string; Next: string }[]) ?? []).find(
        (c) => matches(c.ErrorEquals, error.name),
      )
      if (!catcher) throw error
      return { data: put(data, { Error: error.name, Cause: error.message }, catcher.ResultPath), next: catcher.Next }
    }
  }
}

const matches = (wanted: readonly string[], name: string) =>
  wanted.some((w) => w === name || (w === 'States.ALL' && name !== 'States.DataLimitExceeded'))

type Rule = { Next: string; Variable: string; [operator: string]: unknown }

function holds(rule: Rule, data: Value): boolean {
  const { Next: _next, Variable, ...test } = rule
  const [operator, wanted, ...more] = Object.entries(test).flat() as [string, Value, ...Value[]]
  if (more.length) throw new Error(`a choice rule with two operators is not executed: ${JSON.stringify(rule)}`)
  const got = at(data, Variable)
  switch (operator) {
    case 'StringEquals':
    case 'BooleanEquals':
    case 'NumericEquals':
      return isDeepStrictEqual(got, wanted)
    case 'NumericGreaterThanEquals':
      return typeof got === 'number' && got >= Number(wanted)
    default:
      throw new Error(`choice operator ${operator} is not executed`)
  }
}

/** A payload template: keys ending in `.$` are paths (`$.a`, `$$.Map...`) or intrinsic functions. */
function template(part: Value, data: Value, context: Value): Value {
  if (Array.isArray(part)) return part.map((item) => template(item, data, context))
  if (typeof part !== 'object' || part === null) return part
  return Object.fromEntries(
    Object.entries(part).map(([key, value]) =>
      key.endsWith('.$')
        ? [key.slice(0, -2), expression(String(value), data, context)]
        : [key, template(value, data, context)],
    ),
  )
}

function expression(text: string, data: Value, context: Value): Value {
  const call = /^States\.(Format|MathAdd)\((.*)\)$/s.exec(text)
  if (!call) {
    if (text.startsWith('$$')) return at(context, text.slice(1))
    if (text.startsWith('$')) return at(data, text)
    throw new Error(`"${text}" is not executed: neither a path nor a known intrinsic function`)
  }
  const given = call[2]!.split(/\s*,\s*/).map((a) => (a.startsWith('$') ? expression(a, data, context) : literal(a)))
  if (call[1] === 'MathAdd') return Number(given[0]) + Number(given[1])
  let n = 1
  return String(given[0]).replaceAll('{}', () => String(given[n++]))
}

const literal = (text: string): Value => (text.startsWith("'") ? text.slice(1, -1) : Number(text))

/** The value at a reference path (`$`, `$.a.b`). Step Functions fails a path that points at nothing. */
function at(data: Value, path: string): Value {
  if (!/^\$(\.[A-Za-z_][A-Za-z0-9_]*)*$/.test(path)) throw new Error(`path "${path}" is not executed`)
  let value: Value = data
  for (const key of path.split('.').slice(1)) {
    if (typeof value !== 'object' || value === null || !(key in value)) {
      throw new StatesError('States.Runtime', `the path ${path} points at nothing`)
    }
    value = (value as Record<string, Value>)[key]
  }
  return value
}

function put(data: Value, result: Value, path: unknown): Value {
  if (path === undefined || path === '$') return result
  if (path === null) return data
  const key = /^\$\.([A-Za-z_]\w*)$/.exec(String(path))?.[1]
  if (!key) throw new Error(`ResultPath ${path} is not executed`)
  return { ...(data as object), [key]: result }
}

function refuseUnknown(name: string, state: State) {
  const known = fieldsOf[state.Type]
  if (!known) throw new Error(`state "${name}" has a type that is not executed: ${state.Type}`)
  const unknown = Object.keys(state).filter((field) => !['Type', 'Comment', ...known].includes(field))
  if (unknown.length) throw new Error(`state "${name}" has fields that are not executed: ${unknown.join(', ')}`)
}

function checkSize(name: string, data: Value) {
  const bytes = Buffer.byteLength(JSON.stringify(data) ?? '')
  if (bytes > MAX_PAYLOAD_BYTES) {
    throw new StatesError(
      'States.DataLimitExceeded',
      `state "${name}" has ${bytes} bytes; the limit is ${MAX_PAYLOAD_BYTES}`,
    )
  }
}
