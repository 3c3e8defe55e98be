import { expect, test } from '@jest/globals'
import { createDatabase } from '../support/postgres.ts'

test('each test file has a database of its own on a server that can decode its log', async () => {
  await using database = await createDatabase()

  const [row] = await database.query(`select current_database() as name, current_setting('wal_level') as wal`)

  expect(row).toEqual({ name: database.name, wal: 'logical' })
})
