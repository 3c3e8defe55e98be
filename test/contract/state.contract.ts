import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Clock } from '../../shared/core/clock.ts'
import type { EntryWrite, StateStore } from '../../shared/state/state-store.ts'

export interface OpenState {
  state: StateStore
  close(): Promise<void>
}

/** What every StateStore keeps. Each test works in a partition of its own; time is the suite's. */
export function stateContract(open: (clock: Clock) => Promise<OpenState>): void {
  let now = 1_800_000_000_000
  const clock: Clock = { now: () => now, sleep: async () => {} }
  let opened: OpenState
  let state: StateStore
  let tests = 0
  let partition: string

  beforeAll(async () => {
    opened = await open(clock)
    state = opened.state
  })
  afterAll(() => opened.close())

  const contract = (name: string, work: () => Promise<void>) =>
    test(name, async () => {
      partition = `p${++tests}`
      // A store that numbers new entries by the clock needs it to move, as it does.
      now += 60_000
      await work()
    })
  const put = (sort: string, value: string | number, expect: number | 'absent' | 'any' = 'any'): EntryWrite => ({
    partition,
    sort,
    value,
    expect,
  })
  const read = (sort: string) => state.read({ partition, sort })

  contract('an entry is read back with its value, under another version with each write', async () => {
    const value = {
      text: 'a "quoted" \u0000 \u{1f986}',
      list: [1, -2.5, 1e300, null, true],
      nested: { empty: {}, none: [] },
    }
    const created = await state.write([{ partition, sort: 'a', value, expect: 'absent' }])
    expect(await read('a')).toEqual({ partition, sort: 'a', value, version: created![0] })

    const replaced = await state.write([put('a', 'next', created![0]!)])

    expect(replaced).toEqual([expect.any(Number)])
    expect(replaced![0]).not.toBe(created![0])
    expect(await read('a')).toMatchObject({ value: 'next', version: replaced![0] })
    expect(await state.read({ partition: 'other', sort: 'a' })).toBeUndefined()
    expect(await read('missing')).toBeUndefined()
  })

  contract('a condition that does not hold changes nothing', async () => {
    expect(await state.write([put('a', 1, 7)])).toBeUndefined()
    const [version] = (await state.write([put('a', 1, 'absent')]))!

    expect(await state.write([put('a', 2, 'absent')])).toBeUndefined()
    expect(await state.write([put('a', 2, version! + 1)])).toBeUndefined()
    expect(await state.write([{ partition, sort: 'a', remove: true, expect: version! + 1 }])).toBeUndefined()
    expect(await state.write([{ partition, sort: 'b', remove: true, expect: 1 }])).toBeUndefined()
    expect(await read('a')).toMatchObject({ value: 1, version })
    expect((await state.write([put('a', 3, 'any')]))![0]).not.toBe(version)
  })

  contract('writes of one call happen all or none', async () => {
    const [a] = (await state.write([put('a', 1), put('b', 1)]))!

    expect(await state.write([put('a', 2, a!), put('c', 2, 'absent'), put('b', 2, 'absent')])).toBeUndefined()
    expect(await state.list(partition)).toMatchObject([
      { sort: 'a', value: 1 },
      { sort: 'b', value: 1 },
    ])

    const all = await state.write([put('a', 2, a!), { partition, sort: 'b', remove: true, expect: 'any' }, put('c', 2)])
    expect(all).toEqual([expect.any(Number), 0, expect.any(Number)])
    expect(await read('a')).toMatchObject({ version: all![0] })
    expect(await state.list(partition)).toMatchObject([
      { sort: 'a', value: 2 },
      { sort: 'c', value: 2 },
    ])
  })

  contract('one call may write 25 entries over several partitions, and none is nothing', async () => {
    const writes = Array.from({ length: 25 }, (_, i): EntryWrite => {
      return { partition: `${partition}/${i % 5}`, sort: `s${i}`, value: i, expect: 'absent' }
    })

    expect(await state.write(writes)).toHaveLength(25)
    expect(await state.list(`${partition}/3`)).toMatchObject([
      { value: 13 },
      { value: 18 },
      { value: 23 },
      { value: 3 },
      { value: 8 },
    ])
    expect(await state.write([])).toEqual([])
  })

  contract('of 32 concurrent writers of one version one wins, also in transactions', async () => {
    const created = await Promise.all(Array.from({ length: 32 }, (_, i) => state.write([put('a', i, 'absent')])))
    const winner = created.findIndex(Boolean)
    expect(created.filter(Boolean)).toHaveLength(1)
    const version = created[winner]![0]!

    const replaced = await Promise.all(
      Array.from({ length: 32 }, (_, i) => state.write([put('a', `next ${i}`, version), put(`log ${i}`, i, 'absent')])),
    )

    expect(replaced.filter(Boolean)).toHaveLength(1)
    const second = replaced.findIndex(Boolean)
    expect(await read('a')).toMatchObject({ value: `next ${second}`, version: replaced[second]![0] })
    expect(await state.list(partition, { prefix: 'log ' })).toMatchObject([{ value: second }])
  })

  contract('removing what is there, or what may be there, and nothing else', async () => {
    const [version] = (await state.write([put('a', 1)]))!

    expect(await state.write([{ partition, sort: 'a', remove: true, expect: version! }])).toEqual([0])
    expect(await read('a')).toBeUndefined()
    expect(await state.write([{ partition, sort: 'a', remove: true, expect: 'any' }])).toEqual([0])
    expect(await state.write([{ partition, sort: 'a', remove: true, expect: version! }])).toBeUndefined()
  })

  contract('an entry written anew never takes a version it had', async () => {
    const seen = new Set<number>()
    for (let life = 0; life < 3; life++) {
      const [first] = (await state.write([put('a', life, 'absent')]))!
      const [second] = (await state.write([put('a', life, first!)]))!
      for (const version of [first!, second!]) {
        expect(seen).not.toContain(version)
        seen.add(version)
      }
      await state.write([{ partition, sort: 'a', remove: true, expect: 'any' }])
      now += 10
    }
  })

  contract('a listing is in byte order, from a prefix, after a place, up to a limit, both ways', async () => {
    const sorts = ['A', 'a', 'a-', 'a/', 'a/1', 'a/10', 'a/2', 'a/_%', 'aa', 'b', '\u{ffee}', '\u{1f986}']
    for (const sort of [...sorts].reverse()) await state.write([put(sort, sort)])
    await state.write([{ partition: `${partition}x`, sort: 'a/3', value: 'other', expect: 'any' }])
    const list = async (options: Parameters<StateStore['list']>[1]) =>
      (await state.list(partition, options)).map(({ sort }) => sort)

    expect(await list({})).toEqual(sorts)
    expect(await list({ descending: true })).toEqual([...sorts].reverse())
    expect(await list({ prefix: 'a/' })).toEqual(['a/', 'a/1', 'a/10', 'a/2', 'a/_%'])
    expect(await list({ prefix: 'a/_' })).toEqual(['a/_%'])
    expect(await list({ prefix: 'a/', after: 'a/1', limit: 2 })).toEqual(['a/10', 'a/2'])
    expect(await list({ prefix: 'a/', after: 'a/2', descending: true })).toEqual(['a/10', 'a/1', 'a/'])
    expect(await list({ prefix: 'a/', limit: 1, descending: true })).toEqual(['a/_%'])
    expect(await list({ after: 'b' })).toEqual(['\u{ffee}', '\u{1f986}'])
    expect(await list({ prefix: 'a/', after: 'z' })).toEqual([])
    expect(await list({ prefix: 'a/', after: 'A', limit: 1 })).toEqual(['a/'])
    expect(await list({ prefix: 'a/', after: 'z', descending: true, limit: 1 })).toEqual(['a/_%'])
    expect(await list({ prefix: 'none' })).toEqual([])
  })

  contract('a listing returns everything, however large', async () => {
    const value = 'x'.repeat(60_000)
    for (let i = 0; i < 40; i += 10) {
      await state.write(Array.from({ length: 10 }, (_, j) => put(`s${i + j}`, value)))
    }

    expect(await state.list(partition)).toHaveLength(40)
  })

  contract('an expired entry is absent to reads, listings and conditions, and a new one replaces it', async () => {
    const expiresAtMs = now + 5_000
    const [version] = (await state.write([{ ...put('lease', 'a', 'absent'), expiresAtMs } as EntryWrite, put('z', 1)]))!
    now = expiresAtMs - 1
    expect(await read('lease')).toMatchObject({ value: 'a' })
    expect(await state.write([put('lease', 'b', 'absent')])).toBeUndefined()

    now = expiresAtMs

    expect(await read('lease')).toBeUndefined()
    expect(await state.list(partition)).toMatchObject([{ sort: 'z' }])
    expect(await state.list(partition, { limit: 1 })).toMatchObject([{ sort: 'z' }])
    expect(await state.write([put('lease', 'late', version!)])).toBeUndefined()
    expect(await state.write([{ partition, sort: 'lease', remove: true, expect: version! }])).toBeUndefined()
    const taken = await state.write([put('lease', 'b', 'absent')])
    expect(taken![0]).not.toBe(version)
    now += 1e9
    expect(await read('lease')).toMatchObject({ value: 'b' })
  })

  contract('a new write decides anew when an entry expires, and any replaces an expired one', async () => {
    const [version] = (await state.write([{ ...put('a', 1), expiresAtMs: now + 10 } as EntryWrite]))!
    await state.write([put('a', 2, version!)])
    await state.write([{ ...put('b', 1), expiresAtMs: now + 10 } as EntryWrite])
    now += 20

    expect(await read('a')).toMatchObject({ value: 2 })
    expect(await state.write([put('b', 2, 'any')])).toHaveLength(1)
    expect(await read('b')).toMatchObject({ value: 2 })
  })

  contract('an entry of 256 KB is kept, and what no store could hold is refused with nothing changed', async () => {
    const largest = 'x'.repeat(256 * 1024 - 2)
    await state.write([put('a', largest)])
    expect((await read('a'))?.value).toBe(largest)

    const refused = { code: 'bug.invariant' }
    await expect(state.write([put('b', 1), put('c', `${largest}x`)])).rejects.toMatchObject(refused)
    await expect(state.write([put('b', 1), put('b', 2)])).rejects.toMatchObject(refused)
    await expect(state.write(Array.from({ length: 26 }, (_, i) => put(`b${i}`, i)))).rejects.toMatchObject(refused)
    await expect(state.write([put('', 1)])).rejects.toMatchObject(refused)
    await expect(state.write([put('é'.repeat(513), 1)])).rejects.toMatchObject(refused)
    expect(await state.list(partition, { prefix: 'b' })).toEqual([])
  })

  contract('a value changed after the call is stored as it was', async () => {
    const value = { n: 1 }
    const written = state.write([{ partition, sort: 'a', value, expect: 'any' }])
    value.n = 2
    await written

    expect((await read('a'))?.value).toEqual({ n: 1 })
  })
}
