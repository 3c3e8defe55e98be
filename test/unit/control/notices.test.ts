import { expect, test } from '@jest/globals'
import { noticesOf, recipientsOf } from '../../../shared/control/notices.ts'
import type { PipelineSpec } from '../../../shared/pipeline/spec.ts'
import type { Run, StreamSummary } from '../../../shared/state/runs.ts'

const stream = (name: string, error?: StreamSummary['error']): StreamSummary => ({
  stream: name,
  state: error ? 'FAILED' : 'COMPLETED',
  mode: 'changes',
  rows: 10,
  bytes: 100,
  commits: 1,
  rejected: 0,
  durationMs: 5,
  ...(error && { error }),
})

const run = (state: Run['state'], ...streams: StreamSummary[]): Run => ({
  id: '20261122T000000000Z-1a2b3c4d',
  pipeline: 'shop',
  state,
  cause: 'JOB_TASK',
  fullRefresh: false,
  startedAtMs: 0,
  endedAtMs: 61_000,
  streams,
})

const missing = { code: 'source.object_missing', remedy: 'fix', message: 'there is no table shop.orders' }
const busy = { code: 'source.unavailable', remedy: 'retry', message: 'the server is starting' }
const told = (given: Run, alerts: readonly string[] | undefined) => {
  const notification = { ...(alerts && { alerts }), email_recipients: ['a@example.com'] }
  return noticesOf(given, [notification] as NonNullable<PipelineSpec['notifications']>).length
}

test.each([
  ['a success', run('COMPLETED', stream('main.shop.orders')), ['on-update-success']],
  ['a fault that passes', run('FAILED', stream('main.shop.orders', busy)), ['on-update-failure', 'on-flow-failure']],
  [
    'a fault that a person must see to',
    run('FAILED', stream('main.shop.orders', missing)),
    ['on-update-failure', 'on-flow-failure', 'on-update-fatal-failure'],
  ],
  ['a run that was stopped', run('CANCELED', stream('main.shop.orders')), []],
] as const)('%s tells who asked for it', (_, given, expected) => {
  const all = ['on-update-success', 'on-update-failure', 'on-update-fatal-failure', 'on-flow-failure']

  expect(all.filter((alert) => told(given, [alert]) > 0).sort()).toEqual([...expected].sort())
})

test('without a choice of alerts failures are told, and successes are not', () => {
  expect(told(run('FAILED', stream('main.shop.orders', busy)), undefined)).toBe(1)
  expect(told(run('COMPLETED', stream('main.shop.orders')), undefined)).toBe(0)
})

test('a recipient gets one notice, which says what failed and by which code', () => {
  const recipients = { email_recipients: ['a@example.com'] }

  const notices = noticesOf(run('FAILED', stream('main.shop.orders', missing), stream('main.shop.items')), [
    recipients,
    recipients,
  ])

  expect(notices).toHaveLength(1)
  expect(notices[0]!.subject).toBe('Lakeflow: shop is FAILED')
  expect(notices[0]!.text).toContain('after 61 s: 2 tables, 20 rows')
  expect(notices[0]!.text).toContain('main.shop.orders failed: there is no table shop.orders (source.object_missing)')
})

test('the recipients of a configuration are those of all its pipelines, once', () => {
  const ingestion_definition = { connection_name: 'c', objects: [] }
  const pipeline = { ingestion_definition, notifications: [{ email_recipients: ['a@example.com', 'b@example.com'] }] }

  const recipients = recipientsOf({ one: pipeline, two: pipeline } as unknown as Record<string, PipelineSpec>)

  expect([...recipients]).toEqual(['a@example.com', 'b@example.com'])
})
