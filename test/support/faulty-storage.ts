import { IngestError } from '../../shared/core/errors.ts'
import type { Storage, StorageWriter } from '../../shared/storage/storage.ts'
import { type Faults, faultyCalls } from './faults.ts'

export interface StorageFaults extends Faults {
  /** The n-th piece written to any writer (from 1) is cut in half, and its caller hears `unavailable`. */
  tearPiece?: number
  /** Listings miss what the last n successful writes made: what an eventually consistent store would show. */
  staleList?: number
}

/** A storage with planned faults. A write is `put*`, `finish` of a writer, or `delete`. */
export function faultyStorage(storage: Storage, faults: StorageFaults): Storage & { readonly writes: number } {
  const calls = faultyCalls(faults, 'storage.unavailable')
  const recent: string[] = []
  let pieces = 0

  async function creating<T>(path: string, call: () => Promise<T>): Promise<T> {
    return await calls.write(async () => {
      const reply = await call()
      recent.push(path)
      return reply
    })
  }

  function faultyWriter(path: string, writer: StorageWriter): StorageWriter {
    return {
      write: (bytes) =>
        calls.read(async () => {
          if (++pieces !== faults.tearPiece) return await writer.write(bytes)
          await writer.write(bytes.subarray(0, bytes.length >> 1))
          throw new IngestError('storage.unavailable', 'injected: a torn piece')
        }),
      finish: () => creating(path, () => writer.finish()),
      abort: () => calls.read(() => writer.abort()),
    }
  }

  return {
    url: storage.url,
    get writes() {
      return calls.writes
    },
    get: (path, range) => calls.read(() => storage.get(path, range)),
    getTagged: (path) => calls.read(() => storage.getTagged(path)),
    put: (path, bytes) => creating(path, () => storage.put(path, bytes)),
    putIfAbsent: (path, bytes) => creating(path, () => storage.putIfAbsent(path, bytes)),
    putIfMatch: (path, bytes, tag) => creating(path, () => storage.putIfMatch(path, bytes, tag)),
    writer: (path) => faultyWriter(path, storage.writer(path)),
    async *list(prefix, startAfter) {
      const hidden = new Set(faults.staleList ? recent.slice(-faults.staleList) : [])
      await calls.read(async () => {})
      for await (const object of storage.list(prefix, startAfter)) if (!hidden.has(object.path)) yield object
    },
    delete: (paths) => calls.write(() => storage.delete(paths)),
  }
}
