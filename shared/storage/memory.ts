import { compareBytes } from '../core/byte-order.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { invariant } from '../core/errors.ts'
import { checkPath, checkPrefix } from './path.ts'
import { cutRange } from './range.ts'
import type { Storage, StorageWriter } from './storage.ts'

/** Objects in memory, gone with the process. Keeps the whole contract but durability. */
export function memoryStorage({ clock = systemClock }: { clock?: Clock } = {}): Storage {
  const objects = new Map<string, { bytes: Uint8Array; tag: string; modifiedAtMs: number }>()
  let writes = 0

  function store(path: string, bytes: Uint8Array): string {
    const tag = String(++writes)
    objects.set(path, { bytes: bytes.slice(), tag, modifiedAtMs: clock.now() })
    return tag
  }

  return {
    url: 'memory://lakehouse',

    async get(path, range) {
      checkPath(path)
      const bytes = objects.get(path)?.bytes
      if (!bytes || !range) return bytes?.slice()
      return bytes.slice(...cutRange(range, bytes.length))
    },

    async getTagged(path) {
      checkPath(path)
      const object = objects.get(path)
      return object && { bytes: object.bytes.slice(), tag: object.tag }
    },

    async put(path, bytes) {
      checkPath(path)
      store(path, bytes)
    },

    async putIfAbsent(path, bytes) {
      checkPath(path)
      if (objects.has(path)) return false
      store(path, bytes)
      return true
    },

    async putIfMatch(path, bytes, tag) {
      checkPath(path)
      return objects.get(path)?.tag === tag ? store(path, bytes) : undefined
    },

    writer(path): StorageWriter {
      checkPath(path)
      const pieces: Uint8Array[] = []
      let open = true
      return {
        async write(bytes) {
          invariant(open, 'write on a finished or aborted writer')
          pieces.push(bytes)
        },
        async finish() {
          invariant(open, 'finish of a finished or aborted writer')
          open = false
          const bytes = new Uint8Array(Buffer.concat(pieces))
          store(path, bytes)
          return { sizeBytes: bytes.length }
        },
        async abort() {
          open = false
          pieces.length = 0
        },
      }
    },

    async *list(prefix, startAfter) {
      checkPrefix(prefix)
      const paths = [...objects.keys()]
        .filter((path) => path.startsWith(prefix) && (startAfter === undefined || compareBytes(path, startAfter) > 0))
        .sort(compareBytes)
      for (const path of paths) {
        const object = objects.get(path)
        if (object) yield { path, sizeBytes: object.bytes.length, modifiedAtMs: object.modifiedAtMs }
      }
    },

    async delete(paths) {
      paths.forEach(checkPath)
      for (const path of paths) objects.delete(path)
    },
  }
}
