import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Storage } from '../../shared/storage/storage.ts'

export interface OpenStorage {
  storage: Storage
  close(): Promise<void>
}

/** What every Storage keeps. Each test works below a prefix of its own, so all share one storage. */
export function storageContract(open: () => Promise<OpenStorage>): void {
  let opened: OpenStorage
  let storage: Storage
  let tests = 0
  let under: string

  beforeAll(async () => {
    opened = await open()
    storage = opened.storage
  })
  afterAll(() => opened.close())

  const text = (value: string) => new TextEncoder().encode(value)
  const read = async (path: string, range?: { start: number; end?: number }) => {
    const bytes = await storage.get(path, range)
    return bytes && new TextDecoder().decode(bytes)
  }
  const paths = async (prefix: string, startAfter?: string) => {
    const found: string[] = []
    for await (const object of storage.list(prefix, startAfter)) found.push(object.path.slice(under.length))
    return found
  }
  const contract = (name: string, work: () => Promise<void>) =>
    test(name, async () => {
      under = `t${++tests}/`
      await work()
    })

  contract('what was put is read back, and put again it is replaced', async () => {
    await storage.put(`${under}a/b`, text('one'))
    await storage.put(`${under}a/b`, text('two'))

    expect(await read(`${under}a/b`)).toBe('two')
    expect(await paths(under)).toEqual(['a/b'])
  })

  contract('a missing object is undefined, and so is a folder', async () => {
    await storage.put(`${under}folder/x`, text('x'))

    expect(await storage.get(`${under}missing`)).toBeUndefined()
    expect(await storage.get(`${under}folder`)).toBeUndefined()
    expect(await storage.get(`${under}folder/x/below`)).toBeUndefined()
    expect(await storage.getTagged(`${under}missing`)).toBeUndefined()
    expect(await storage.get(`${under}missing`, { start: 0, end: 0 })).toBeUndefined()
  })

  contract('an empty object is an object', async () => {
    await storage.put(`${under}empty`, new Uint8Array())

    expect(await read(`${under}empty`)).toBe('')
    expect(await read(`${under}empty`, { start: -4 })).toBe('')
    expect(await paths(under)).toEqual(['empty'])
  })

  test.each([
    [{ start: 0 }, '0123456789'],
    [{ start: 3 }, '3456789'],
    [{ start: 3, end: 5 }, '34'],
    [{ start: 8, end: 99 }, '89'],
    [{ start: 4, end: 4 }, ''],
    [{ start: 10 }, ''],
    [{ start: 99, end: 100 }, ''],
    [{ start: -3 }, '789'],
    [{ start: -99 }, '0123456789'],
  ])('the range %j of ten bytes is %j', async (range, expected) => {
    await storage.put('ranges/digits', text('0123456789'))

    expect(await read('ranges/digits', range)).toBe(expected)
  })

  contract('bytes handed over or handed out are not shared with the store', async () => {
    const bytes = text('kept')
    await storage.put(`${under}a`, bytes)
    bytes.fill(0)
    const got = await storage.get(`${under}a`)
    got?.fill(0)

    expect(await read(`${under}a`)).toBe('kept')
  })

  contract('put-if-absent writes once and leaves what is there', async () => {
    expect(await storage.putIfAbsent(`${under}a`, text('first'))).toBe(true)
    expect(await storage.putIfAbsent(`${under}a`, text('second'))).toBe(false)

    expect(await read(`${under}a`)).toBe('first')
  })

  contract('of 32 concurrent put-if-absent one wins, and the object is the winner', async () => {
    const won = await Promise.all(
      Array.from({ length: 32 }, (_, i) => storage.putIfAbsent(`${under}new/folder/a`, text(`writer ${i}`))),
    )

    expect(won.filter(Boolean)).toHaveLength(1)
    expect(await read(`${under}new/folder/a`)).toBe(`writer ${won.indexOf(true)}`)
    expect(await paths(under)).toEqual(['new/folder/a'])
  })

  contract('put-if-match replaces the version it names only', async () => {
    await storage.put(`${under}a`, text('one'))
    const first = await storage.getTagged(`${under}a`)

    const second = await storage.putIfMatch(`${under}a`, text('two'), first!.tag)

    expect(second).toBe((await storage.getTagged(`${under}a`))?.tag)
    expect(await storage.putIfMatch(`${under}a`, text('three'), first!.tag)).toBeUndefined()
    expect(await read(`${under}a`)).toBe('two')
    await storage.delete([`${under}a`])
    expect(await storage.putIfMatch(`${under}a`, text('four'), second!)).toBeUndefined()
    expect(await read(`${under}a`)).toBeUndefined()
  })

  contract('of 32 concurrent put-if-match one wins', async () => {
    await storage.put(`${under}a`, text('start'))
    const { tag } = (await storage.getTagged(`${under}a`))!

    const tags = await Promise.all(
      Array.from({ length: 32 }, (_, i) => storage.putIfMatch(`${under}a`, text(`writer ${i}`), tag)),
    )

    const winners = tags.flatMap((won, i) => (won === undefined ? [] : [i]))
    expect(winners).toHaveLength(1)
    expect(await read(`${under}a`)).toBe(`writer ${winners[0]}`)
  })

  contract('a counter raised by compare and swap from four writers loses no step', async () => {
    await storage.put(`${under}n`, text('0'))

    const raise = async () => {
      for (let done = 0; done < 5; ) {
        const { bytes, tag } = (await storage.getTagged(`${under}n`))!
        const next = text(String(Number(new TextDecoder().decode(bytes)) + 1))
        if ((await storage.putIfMatch(`${under}n`, next, tag)) !== undefined) done++
      }
    }
    await Promise.all([raise(), raise(), raise(), raise()])

    expect(await read(`${under}n`)).toBe('20')
  })

  contract('names with spaces, percent signs, quotes, equals and unicode are kept as they are', async () => {
    const names = [
      'a b',
      'a%20b',
      'a+b',
      "d=it's/p=1%2F2",
      'x#y?z&w',
      'Äpfel/日本語/🦆',
      'back\\slash',
      'a:b*c|d',
      '~',
      '-',
    ]
    for (const name of names) await storage.put(under + name, text(name))

    for (const name of names) expect(await read(under + name)).toBe(name)
    expect(new Set(await paths(under))).toEqual(new Set(names))
    await storage.delete(names.map((name) => under + name))
    expect(await paths(under)).toEqual([])
  })

  contract('a listing is in byte order of the whole path, at any depth', async () => {
    const names = ['a-b', 'a/b', 'a0', 'a/', 'a!x/y', 'b/\u{ffee}', 'b/\u{1f986}', 'b/c/d', 'b/c-d', 'B', '0'].filter(
      (name) => !name.endsWith('/'),
    )
    for (const name of names) await storage.put(under + name, text(name))

    const sorted = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    expect(await paths(under)).toEqual(sorted)
    for (const after of sorted) {
      expect(await paths(under, under + after)).toEqual(sorted.slice(sorted.indexOf(after) + 1))
    }
    expect(await paths(under, `${under}a/`)).toEqual(sorted.slice(sorted.indexOf('a/b')))
    expect(await paths(under, `${under}a/zzz`)).toEqual(sorted.slice(sorted.indexOf('a0')))
    expect(await paths(under, `${under}zzz`)).toEqual([])
  })

  contract('a prefix may end anywhere, and a missing one lists nothing', async () => {
    for (const name of ['log/0001.json', 'log/0002.json', 'log/0010.json', 'logs/x']) {
      await storage.put(under + name, text(name))
    }

    expect(await paths(`${under}log/000`)).toEqual(['log/0001.json', 'log/0002.json'])
    expect(await paths(`${under}log`)).toHaveLength(4)
    expect(await paths(`${under}log/`)).toHaveLength(3)
    expect(await paths(`${under}none/of/it`)).toEqual([])
    expect(await paths(`${under}log/0001.json/below`)).toEqual([])
  })

  contract('a listing tells sizes and times', async () => {
    const before = Date.now()
    await storage.put(`${under}a`, text('12345'))

    const [object] = await Array.fromAsync(storage.list(under))
    expect(object).toMatchObject({ path: `${under}a`, sizeBytes: 5 })
    // Stores may keep whole seconds, and a file system may lag a clock tick behind.
    expect(Math.abs(object!.modifiedAtMs - before)).toBeLessThan(10_000)
  })

  contract('more objects than one page of a listing are all listed', async () => {
    const names = Array.from({ length: 1_050 }, (_, i) => `n${String(i).padStart(5, '0')}`)
    for (let i = 0; i < names.length; i += 50) {
      await Promise.all(names.slice(i, i + 50).map((name) => storage.put(under + name, text(name))))
    }

    expect(await paths(under)).toEqual(names)
    await storage.delete(names.map((name) => under + name))
    expect(await paths(under)).toEqual([])
  })

  contract('deleting what is not there is no error, and deletes the rest', async () => {
    await storage.put(`${under}a`, text('a'))
    await storage.put(`${under}folder/b`, text('b'))

    await storage.delete([`${under}missing`, `${under}folder`, `${under}a`])

    expect(await paths(under)).toEqual(['folder/b'])
    await storage.delete([])
  })

  contract('a streamed object of 24 MB is the pieces in order, and invisible until it is finished', async () => {
    const pieces = Array.from({ length: 97 }, (_, i) => new Uint8Array(256 * 1024 + i).fill(i))
    const writer = storage.writer(`${under}big`)
    // Handed over without awaiting: order is the writer's duty.
    await Promise.all(pieces.map((piece) => writer.write(piece)))
    expect(await storage.get(`${under}big`)).toBeUndefined()
    expect(await paths(under)).toEqual([])

    const { sizeBytes } = await writer.finish()

    const expected = Buffer.concat(pieces)
    expect(sizeBytes).toBe(expected.length)
    const got = await storage.get(`${under}big`)
    expect(Buffer.compare(got!, expected)).toBe(0)
    const end = await storage.get(`${under}big`, { start: -8 })
    expect(Buffer.compare(end!, expected.subarray(-8))).toBe(0)
    const middle = await storage.get(`${under}big`, { start: 9_000_000, end: 9_300_000 })
    expect(Buffer.compare(middle!, expected.subarray(9_000_000, 9_300_000))).toBe(0)
  })

  contract('a streamed object may be empty or small, and replaces an older one', async () => {
    await storage.put(`${under}a`, text('old'))
    const small = storage.writer(`${under}a`)
    await small.write(text('new'))
    await small.finish()
    const empty = storage.writer(`${under}empty`)
    await empty.finish()

    expect(await read(`${under}a`)).toBe('new')
    expect(await read(`${under}empty`)).toBe('')
  })

  contract('an aborted writer leaves nothing, whenever it is aborted', async () => {
    const unused = storage.writer(`${under}unused`)
    await unused.abort()
    const begun = storage.writer(`${under}begun`)
    await begun.write(new Uint8Array(6 * 1024 * 1024))
    await begun.write(new Uint8Array(6 * 1024 * 1024))
    await begun.abort()
    await begun.abort()
    const finished = storage.writer(`${under}finished`)
    await finished.write(text('kept'))
    await finished.finish()
    await finished.abort()

    expect(await paths(under)).toEqual(['finished'])
    expect(await read(`${under}finished`)).toBe('kept')
  })

  test.each(['../outside', 'a/../../outside', '/etc/passwd', 'a//b', 'a/./b', 'a/', '', 'a\0b'])(
    'the path %j is refused everywhere',
    async (path) => {
      const refused = expect.objectContaining({ code: 'storage.path_invalid', remedy: 'fix' })

      await expect(storage.get(path)).rejects.toEqual(refused)
      await expect(storage.put(path, text('x'))).rejects.toEqual(refused)
      await expect(storage.putIfAbsent(path, text('x'))).rejects.toEqual(refused)
      await expect(storage.putIfMatch(path, text('x'), 'tag')).rejects.toEqual(refused)
      await expect(storage.delete([path])).rejects.toEqual(refused)
      expect(() => storage.writer(path)).toThrow(refused as unknown as Error)
    },
  )
}
