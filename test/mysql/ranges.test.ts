import { expect, jest, test } from '@jest/globals'
import type { SnapshotStream } from '../../shared/connector/connector.ts'
import { mysql } from '../../shared/connectors/mysql/mysql.ts'
import { collect, connect } from '../support/connector-run.ts'
import { createDatabase, numbers } from './database.ts'

jest.setTimeout(120_000)

test.each([
  ['whole numbers', 'k int primary key', 'seq * 1003'],
  ['unsigned numbers', 'k bigint unsigned primary key', '18446744073709551615 - seq'],
  [
    'two columns',
    'k varchar(20) character set latin1, b int default 7, primary key (k, b)',
    "concat('caf\u00e9 ', seq % 977), seq",
  ],
  ['bytes', 'k binary(16) primary key', 'unhex(md5(seq))'],
  [
    'days and decimals',
    'k decimal(12,2), d date, primary key (d, k)',
    "seq / 7, date '2000-01-01' + interval seq % 400 day",
  ],
])('a large table is cut into ranges of its key, each row in one: %s', async (_, columns, values) => {
  await using database = await createDatabase()
  await database.query(`create table large (${columns}, pad char(255) not null);
    insert into large select ${values}, repeat('x', 255) from ${numbers(1, 80000)}; analyze table large`)
  await using source = await connect(mysql, database.config)
  const stream = (await source.open(`${database.name}.large`, 'snapshot')) as SnapshotStream
  const pieces = await stream.split()
  const rows: string[] = []
  const counts: number[] = []
  for (const piece of pieces) {
    const found = await collect(stream.read(piece))
    counts.push(found.rows.length)
    rows.push(...found.rows.map((cells) => JSON.stringify(cells)))
  }

  expect(pieces.length).toBeGreaterThan(1)
  expect(counts.filter((count) => count > 60_000)).toEqual([])
  expect(rows.length).toBe(80_000)
  expect(new Set(rows).size).toBe(80_000)
})
