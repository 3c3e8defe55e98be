import { expect, test } from '@jest/globals'
import type { SnapshotStream } from '../../shared/connector/connector.ts'
import { postgres } from '../../shared/connectors/postgres/postgres.ts'
import { collect, connect } from '../support/connector-run.ts'
import { createDatabase } from '../support/postgres.ts'

test('a large table is cut into ranges of its key, each row in one, whatever its columns are called', async () => {
  await using database = await createDatabase()
  await database.query(`create table large (place int, total int, k1 text, pad text, primary key (place, total, k1));
    insert into large select n % 7, n, 'k' || n, repeat('x', 400) from generate_series(1, 60000) n; analyze large`)
  await using source = await connect(postgres, database.config)
  const stream = (await source.open('public.large', 'snapshot')) as SnapshotStream

  const pieces = await stream.split()
  const rows: string[] = []
  for (const piece of pieces) rows.push(...(await collect(stream.read(piece))).rows.map((cells) => cells.join()))

  expect(pieces.length).toBeGreaterThan(1)
  expect(rows.length).toBe(60_000)
  expect(new Set(rows).size).toBe(60_000)
})
