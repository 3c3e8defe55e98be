import { expect, test } from '@jest/globals'
import { readStoredPush } from '../../../shared/control/stored-push.ts'
import { storeSpec } from '../../../shared/control/stored-spec.ts'
import { memoryState } from '../../../shared/state/memory.ts'

const spec = (table: string) => `
lakehouse: ./lakehouse
push:
  tables:
    main.events.${table}: { columns: { id: long not null } }
`

test('functions of push read the section of what was stored last, and see a change by its version', async () => {
  const state = memoryState()

  const before = await readStoredPush(state)
  await storeSpec(state, spec('clicks'))
  const first = await readStoredPush(state)
  await storeSpec(state, spec('views'))
  const second = await readStoredPush(state)
  await storeSpec(state, 'lakehouse: ./lakehouse\n')
  const none = await readStoredPush(state)

  expect(before).toEqual({ push: {}, version: 0 })
  expect(first.push.tables).toEqual({ 'main.events.clicks': { columns: { id: 'long not null' } } })
  expect(Object.keys(second.push.tables!)).toEqual(['main.events.views'])
  expect(none.push).toEqual({})
  expect(new Set([before, first, second, none].map(({ version }) => version)).size).toBe(4)
})

test('a stored section that this version does not know is said to be stored again', async () => {
  const state = memoryState()
  await state.write([{ partition: 'spec', sort: 'push', value: { tables: 1 }, expect: 'any' }])

  await expect(readStoredPush(state)).rejects.toMatchObject({ code: 'state.invalid' })
})

test('a configuration larger than one entry is refused in words, and the one before stays', async () => {
  const state = memoryState()
  await storeSpec(state, spec('clicks'))

  const large = storeSpec(state, `${spec('views')}${'# a comment of a line\n'.repeat(12_000)}`)

  await expect(large).rejects.toMatchObject({ code: 'config.invalid', message: expect.stringContaining('250000') })
  expect(Object.keys((await readStoredPush(state)).push.tables!)).toEqual(['main.events.clicks'])
})
