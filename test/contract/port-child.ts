/** Another process on the same folder or file: `port-child.ts <work> <folder or file> <number>`; prints JSON. */

import { sqliteState } from '../../shared/state/sqlite.ts'
import { diskStorage } from '../../shared/storage/disk.ts'
import type { StorageWriter } from '../../shared/storage/storage.ts'

const [work, place, count] = process.argv.slice(2) as [string, string, string]
const n = Number(count)

const works: Record<string, () => Promise<unknown>> = {
  /** Tries to be the first to write each of n objects; prints which it won. */
  async absent() {
    const storage = diskStorage(place)
    const won: number[] = []
    for (let i = 0; i < n; i++) {
      if (await storage.putIfAbsent(`race/${i}`, Buffer.from(String(process.pid)))) won.push(i)
    }
    return { pid: process.pid, won }
  },

  /** Raises a counter in storage n times by compare and swap. */
  async 'storage-swap'() {
    const storage = diskStorage(place)
    await storage.putIfAbsent('counter', Buffer.from('0'))
    for (let done = 0; done < n; ) {
      const { bytes, tag } = (await storage.getTagged('counter'))!
      const next = Buffer.from(String(Number(Buffer.from(bytes).toString()) + 1))
      if (await storage.putIfMatch('counter', next, tag)) done++
    }
  },

  /** Raises a counter in the state store n times by version. */
  async 'state-swap'() {
    const state = sqliteState(place)
    const key = { partition: 'p', sort: 'counter' }
    for (let done = 0; done < n; ) {
      const entry = await state.read(key)
      const value = ((entry?.value as number) ?? 0) + 1
      if (await state.write([{ ...key, value, expect: entry?.version ?? 'absent' }])) done++
    }
    await state.close()
  },

  /** Streams an object that never ends; prints a line when it is under way. */
  async stream() {
    const writer: StorageWriter = diskStorage(place).writer('never/finished')
    for (let i = 0; ; i++) {
      await writer.write(new Uint8Array(64 * 1024))
      if (i === 0) process.stdout.write('writing\n')
    }
  },

  /** Writes a large object as a user who may not, or beyond the limit on file sizes; prints the error. */
  async refused() {
    if (process.getuid?.() === 0) process.seteuid!(65534)
    return await diskStorage(place)
      .put('folder/large', new Uint8Array(n))
      .then(
        () => ({}),
        ({ code, remedy, message }) => ({ code, remedy, message }),
      )
  },
}

process.stdout.write(JSON.stringify((await works[work]!()) ?? null))
