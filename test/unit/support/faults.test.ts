import { expect, test } from '@jest/globals'
import { memoryState } from '../../../shared/state/memory.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { Crash, everyCrashPoint } from '../../support/crash.ts'
import { faultyState } from '../../support/faulty-state.ts'
import { faultyStorage } from '../../support/faulty-storage.ts'

const bytes = (text: string) => Buffer.from(text)
const unavailable = { code: 'storage.unavailable', remedy: 'retry' }

test('a lost reply is an error after the write was made', async () => {
  const storage = memoryStorage()
  const faulty = faultyStorage(storage, { loseReplyAfterWrite: 2 })
  await faulty.put('a', bytes('1'))

  await expect(faulty.putIfAbsent('b', bytes('2'))).rejects.toMatchObject(unavailable)

  expect(await storage.get('b')).toHaveLength(1)
  expect(await faulty.putIfAbsent('b', bytes('2'))).toBe(false)
})

test('a failed write is an error before anything was made', async () => {
  const state = memoryState()
  const faulty = faultyState(state, { failBeforeWrite: 1 })
  const write = { partition: 'p', sort: 's', value: 1, expect: 'absent' } as const

  await expect(faulty.write([write])).rejects.toMatchObject({ code: 'state.unavailable' })

  expect(await state.read(write)).toBeUndefined()
  expect(await faulty.write([write])).toEqual([1])
})

test('a torn piece fails its writer, and the object never shows', async () => {
  const storage = memoryStorage()
  const writer = faultyStorage(storage, { tearPiece: 2 }).writer('a')
  await writer.write(bytes('12'))

  await expect(writer.write(bytes('34'))).rejects.toMatchObject(unavailable)
  await writer.abort()

  expect(await storage.get('a')).toBeUndefined()
})

test('a stale listing misses the last writes', async () => {
  const faulty = faultyStorage(memoryStorage(), { staleList: 1 })
  await faulty.put('a', bytes('1'))
  await faulty.put('b', bytes('2'))

  expect(await Array.fromAsync(faulty.list(''))).toMatchObject([{ path: 'a' }])
})

test('every crash point of two writes: before and after each, and nothing works after death', async () => {
  const outcomes: string[] = []

  const points = await everyCrashPoint(async (crash) => {
    const storage = memoryStorage()
    const faulty = faultyStorage(storage, { crash })
    await crash.life(async () => {
      try {
        await faulty.put('a', bytes('1'))
        await faulty.put('b', bytes('2'))
      } finally {
        if (crash.dead) await expect(faulty.get('a')).rejects.toBeInstanceOf(Crash)
      }
    })
    outcomes.push((await Array.fromAsync(storage.list(''))).map(({ path }) => path).join(''))
  })

  expect(points).toBe(4)
  expect(outcomes).toEqual(['', 'a', 'a', 'ab', 'ab'])
})

test('a scenario that fails tells at which crash point, and one without points is refused', async () => {
  const broken = everyCrashPoint(async (crash) => {
    const storage = memoryStorage()
    const faulty = faultyStorage(storage, { crash })
    await crash.life(() => faulty.put('a', bytes('1')))
    expect(await storage.get('a')).toBeUndefined()
  })
  await expect(broken).rejects.toThrow('with a crash at point 2')

  await expect(everyCrashPoint(async () => {})).rejects.toThrow('never reached a crash point')
})
