import { expect, test } from '@jest/globals'
import type { BatchOptions } from '../../../shared/columnar/batch-writer.ts'
import { acquireKernel, releaseKernel } from '../../../shared/columnar/kernel.ts'
import { createBatchWriter } from '../../../shared/columnar/parquet-writer.ts'
import type { LogicalType, Schema } from '../../../shared/schema/types.ts'
import { soak } from '../../support/columnar.ts'

const field = (name: string, type: LogicalType | 'long' | 'string' | 'timestamp', nullable = true) => ({
  name,
  type: typeof type === 'string' ? { kind: type } : type,
  nullable,
})
const text: LogicalType = { kind: 'string' }
const schema: Schema = {
  fields: [
    field('id', 'long', false),
    field('text', 'string'),
    field('at', 'timestamp'),
    field('amount', { kind: 'decimal', precision: 38, scale: 4 }),
    field('tags', { kind: 'array', element: text, containsNull: true }),
    field('counts', { kind: 'map', key: text, value: { kind: 'long' }, valueContainsNull: true }),
    field('inner', { kind: 'struct', fields: [field('x', 'long'), field('y', 'string')] }),
    field('_rescued_data', 'string'),
  ],
}

/** Whatever makes the kernel ask for memory: new values, escapes, unknown fields, equal keys, bad and large records. */
function record(i: number): string {
  const id = (i * 2654435761) % 4294967296
  const inner = i % 3 ? { x: i, y: `y${id}` } : null
  const tags = Array.from({ length: i % 5 }, (_, k) => (k === 3 ? null : `tag ${(id >> k) % 300}`))
  const good = {
    id,
    text: i % 11 ? `${id.toString(36)} "${i}"\n\u00e9` : undefined,
    at: new Date(1.7e12 + id).toISOString(),
    amount: `${id}.${i % 10}`,
    tags,
    counts: Object.fromEntries(tags.map((tag) => [`k${tag}`, i])),
    inner,
    [`unknown${i % 50}`]: i % 7 ? undefined : { a: [i] },
  }
  if (i % 101 === 0) return '{"id":1,"id":'
  if (i % 103 === 0) return JSON.stringify({ ...good, id: 'x'.repeat(i % 1000) })
  if (i % 1009 === 0) return JSON.stringify({ ...good, text: 'long '.repeat(40_000) })
  const json = JSON.stringify(good)
  return i % 13 ? json : `${json.slice(0, -1)},"id":${i}}`
}

const block = Buffer.from(Array.from({ length: 10_000 }, (_, i) => `${record(i)}\n`).join(''))

/** Writes the block over and over, until `bytes` have been read; returns the size that the kernel's memory then has. */
function memoryAfter(bytes: number, options: BatchOptions): number {
  const writer = createBatchWriter(schema, { unknownFields: 'rescue', rowGroupBytes: 4 << 20, ...options })
  for (let read = 0; read < bytes; read += block.length) {
    for (let at = 0; at < block.length; ) {
      // What is refused as a whole is a message of its own; other chunks end anywhere.
      const end = options.reject === 'all' ? block.indexOf(10, at) + 1 : at + 99_991
      writer.append(block.subarray(at, end))
      at = end
    }
    writer.take()
    writer.takeRejected()
  }
  writer.finish()
  const kernel = acquireKernel()
  const { byteLength } = kernel.memory.buffer
  releaseKernel(kernel)
  return byteLength
}

test.each([{ reject: 'row' }, { reject: 'all', maxRecordBytes: 1 << 20 }] as const)(
  'memory is bounded by the row group, not by the input: %p',
  (options) => {
    const afterSome = memoryAfter(2 * block.length, options)

    const afterAll = memoryAfter(24e6 * soak, options)

    expect(afterAll).toBe(afterSome)
    expect(afterAll).toBeLessThan(64 << 20)
  },
)
