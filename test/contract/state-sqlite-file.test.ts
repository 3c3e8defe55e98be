import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { sqliteState } from '../../shared/state/sqlite.ts'
import { runChild } from '../support/child.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

let folder: string
let remove: () => Promise<void>

beforeEach(async () => {
  const temporary = await temporaryFolder()
  folder = temporary.folder
  remove = temporary.remove
})
afterEach(() => remove())

const key = { partition: 'p', sort: 'counter' }

test('two processes that open one file at once and write by version lose no step', async () => {
  const file = join(folder, 'new/state.db')

  await Promise.all([1, 2].map(() => runChild('contract/port-child.ts', 'state-swap', file, '200')))

  const state = sqliteState(file)
  expect(await state.read(key)).toMatchObject({ value: 400, version: 400 })
  await state.close()
})

test('what was written is there when the file is opened again', async () => {
  const file = join(folder, 'state.db')
  const first = sqliteState(file)
  const written = first.write([{ ...key, value: 1, expect: 'absent' }])
  await first.close()
  expect(await written).toEqual([1])

  const second = sqliteState(file)
  expect(await second.read(key)).toMatchObject({ value: 1, version: 1 })
  await second.close()
})

test('a file that is no state file, or of a later version, is refused by name', async () => {
  const text = join(folder, 'notes.txt')
  await writeFile(text, 'this is not a database, but it is long enough to be looked at as one'.repeat(20))
  const later = join(folder, 'later.db')
  const database = new DatabaseSync(later)
  database.exec('PRAGMA user_version = 99')
  database.close()

  expect(() => sqliteState(text)).toThrow(/not a database/)
  expect(() => sqliteState(later)).toThrow(/format 99/)
})

test('a closed store says so, and one bad call does not disturb those beside it', async () => {
  const state = sqliteState(join(folder, 'state.db'))
  const [good, bad, conflict] = await Promise.allSettled([
    state.write([{ ...key, value: 1, expect: 'absent' }]),
    state.write([{ ...key, value: 'x'.repeat(300_000), expect: 'any' }]),
    state.write([{ ...key, value: 2, expect: 'absent' }]),
  ])
  await state.close()
  await state.close()

  expect([good, conflict]).toMatchObject([{ value: [1] }, { value: undefined }])
  expect(bad).toMatchObject({ reason: { code: 'bug.invariant' } })
  await expect(state.read(key)).rejects.toMatchObject({ code: 'state.unavailable' })
  await expect(state.write([{ ...key, value: 1, expect: 'any' }])).rejects.toMatchObject({ code: 'state.unavailable' })
})
