import type { Calls } from '../../test/rehearsal/aws-calls.ts'
import { monthly, prices } from './prices.ts'

/** What one function did in a measured piece of work. */
export interface FunctionWork {
  memoryMb: number
  invocations: number
  /** Processor time in its handlers, in milliseconds. */
  cpuMs: number
  calls: Record<string, Calls>
}

/** A measured piece of work: the functions, and what happened between them. */
export interface Work {
  functions: Record<string, FunctionWork>
  /** Messages of event source mappings, and their 64 KB pieces. */
  queued?: { messages: number; chunks: number; fifoMessages: number }
  /** Messages on the socket, both ways, in units of 32 KB. */
  socketUnits?: number
  socketMinutes?: number
  /** Requests to the HTTP API, in units of 512 KB. */
  requestUnits?: number
  /** Bytes of events that lie in the bucket twice, as they came and beside their file, until they are committed and a day longer. */
  keptGb?: number
  /** State transitions of standard workflows. */
  transitions?: number
}

/**
 * How long one call takes in the region, in milliseconds: medians of public measurements from Lambda. A handler is billed
 * while it waits, so these count in full, as if no two calls ever overlapped.
 */
const latencyMs: Record<string, number> = { s3: 40, dynamodb: 5, sqs: 10, states: 20, lambda: 20, secretsmanager: 15 }
const otherLatencyMs = 20

/** Log lines and metrics of one invocation: what Powertools and Lambda write by default, in bytes. */
const logBytes = 1_500
/** X-Ray's default rule records the first request of a second and one in twenty of the others. */
const traced = 0.05

/** A function with less memory than this has that much less of a vCPU. */
const VCPU_MB = 1769

/** What the function is billed for, in milliseconds: its processor time and its waiting. */
export function billedMs({ memoryMb, cpuMs, calls }: FunctionWork): number {
  const waits = Object.entries(calls).map(
    ([kind, { count }]) => count * (latencyMs[kind.split(' ')[0]!] ?? otherLatencyMs),
  )
  return cpuMs / Math.min(1, memoryMb / VCPU_MB) + waits.reduce((sum, ms) => sum + ms, 0)
}

/** The price of the work in US dollars, by what is paid for. */
export function priceOf(work: Work): Record<string, number> {
  const functions = Object.values(work.functions)
  const sum = (amount: (fn: FunctionWork) => number) => functions.reduce((total, fn) => total + amount(fn), 0)
  const invocations = sum((fn) => fn.invocations)
  const { messages = 0, chunks = 0, fifoMessages = 0 } = work.queued ?? {}
  const called = (fn: FunctionWork, service: string, unit: keyof Calls, of: (operation: string) => number) =>
    Object.entries(fn.calls)
      .filter(([kind]) => kind.startsWith(`${service} `))
      .reduce((total, [kind, calls]) => total + of(kind.slice(service.length + 1)) * calls[unit], 0)

  return {
    'Lambda, time': sum((fn) => (billedMs(fn) / 1000) * (fn.memoryMb / 1024) * prices.lambdaGbSecond),
    'Lambda, requests': invocations * prices.lambdaRequest,
    'API Gateway, messages': (work.socketUnits ?? 0) * prices.socketMessage,
    'API Gateway, requests': (work.requestUnits ?? 0) * prices.httpRequest,
    'API Gateway, connections': (work.socketMinutes ?? 0) * prices.socketMinute,
    // Sent by the functions; received and deleted, ten at a time, by the event source mappings.
    SQS:
      sum((fn) => called(fn, 'sqs', 'chunks', () => prices.sqsRequest)) +
      (chunks + messages / 10) * prices.sqsRequest +
      fifoMessages * 2 * prices.sqsFifoRequest,
    S3: sum((fn) => called(fn, 's3', 'count', s3Price)),
    'S3, events kept a day': (2 * (work.keptGb ?? 0) * monthly.s3Gb) / 30,
    DynamoDB: sum((fn) => called(fn, 'dynamodb', 'kilobytes', dynamodbPrice)),
    'Step Functions': (work.transitions ?? 0) * prices.transition,
    'Logs and traces': invocations * ((logBytes / 1e9) * prices.logGb + traced * prices.trace),
  }
}

export const totalOf = (price: Record<string, number>) => Object.values(price).reduce((sum, usd) => sum + usd, 0)

/** Deleting is free; listing costs what writing does. */
const s3Price = (operation: string) =>
  operation === 'DELETE' ? 0 : operation === 'GET' || operation === 'HEAD' ? prices.s3Get : prices.s3Put

function dynamodbPrice(operation: string): number {
  const reads = ['GetItem', 'Query', 'BatchGetItem', 'Scan'].includes(operation)
  return (reads ? prices.dynamodbRead : prices.dynamodbWrite) * (operation.startsWith('Transact') ? 2 : 1)
}
