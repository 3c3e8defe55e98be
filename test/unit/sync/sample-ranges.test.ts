import { expect, test } from '@jest/globals'
import { commit } from '../../../shared/delta/commit.ts'
import { sampleRanges } from '../../../shared/sync/sample-ranges.ts'
import { column, committed, emptyTable, logEntry, seededRandom, testPorts } from '../../support/delta.ts'

/** A hundred files of 20,000 neighbouring keys, with every second key. */
async function bigTable(kind: 'long' | 'string') {
  const ports = testPorts()
  const table = await emptyTable(ports, { schema: { fields: [column('id', kind)] } })
  const add = Array.from({ length: 100 }, (_, n) => {
    const bounds = { minValues: { id: n * 40_000 }, maxValues: { id: n * 40_000 + 39_998 } }
    return logEntry(`${n}.parquet`, { stats: JSON.stringify({ numRecords: 20_000, ...bounds, nullCount: { id: 0 } }) })
  })
  return committed(await commit(table, { operation: 'WRITE', add, reads: 'nothing' }, ports))
}

test('a sample is a few ranges of about ten thousand rows, and the files that may hold them', async () => {
  const table = await bigTable('long')

  const sample = sampleRanges(table, ['id'], 3, seededRandom(5))!

  const ranges = [...sample.where.matchAll(/between (\d+) and (\d+)/g)].map(([, low, high]) => [
    Number(low),
    Number(high),
  ])
  expect(ranges.map(([low, high]) => high! - low!)).toEqual([19_999, 19_999, 19_999])
  const touched = ranges.flatMap(([low, high]) => [Math.floor(low! / 40_000), Math.floor(high! / 40_000)])
  expect([...sample.table.files.keys()].sort()).toEqual(
    [...new Set(touched)]
      .filter((n) => n < 100)
      .map((n) => `${n}.parquet`)
      .sort(),
  )
  expect(sample.filter).toMatchObject({ op: 'or', terms: ranges.map(() => ({ op: 'and' })) })
  expect(sampleRanges(table, ['id'], 3, seededRandom(6))!.where).not.toBe(sample.where)
})

test('a key that is no whole number, and a table without a key, have no ranges', async () => {
  expect(sampleRanges(await bigTable('string'), ['id'], 3, seededRandom())).toBeUndefined()
  expect(sampleRanges(await bigTable('long'), [], 3, seededRandom())).toBeUndefined()
})
