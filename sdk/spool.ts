import { type FileHandle, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { ZerobusError } from './errors.ts'
import type { Spool } from './options.ts'
import { lockFolder } from './spool-lock.ts'

const SEGMENT_BYTES = 1 << 20
const HEADER_BYTES = 20
const SUFFIX = '.spool'

/**
 * Keeps unacknowledged records in a folder, for Node: a producer that crashed opens its stream with the same folder, and the
 * session goes on where it stopped, each record once. A record is safe when `ingestRecordOffset` resolves: the folder is
 * fsync'd, many records at a time. One process at a time may use a folder.
 *
 *     segment <first offset>.spool = entries; entry = u32 bytes, u32 crc32, f64 offset, u32 records | records as NDJSON
 */
export function diskSpool(folder: string): Spool {
  const segments: { offset: number; end: number }[] = []
  let file: FileHandle | undefined
  let sizeBytes = 0
  let waiting: { offset: number; records: readonly string[]; resolve(): void; reject(error: unknown): void }[] = []
  let writing: Promise<void> | undefined
  let broken: unknown
  let release: (() => Promise<void>) | undefined

  async function drain() {
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      try {
        if (broken) throw broken
        await write(batch)
        for (const { resolve } of batch) resolve()
      } catch (error) {
        // Half of an entry may be there now, and whatever is read back ends before it.
        broken = error
        for (const { reject } of batch) reject(error)
      }
    }
    // Here and not when the promise settles: whoever was resolved above may append before that.
    writing = undefined
  }

  async function write(batch: readonly { offset: number; records: readonly string[] }[]) {
    if (!file || sizeBytes > SEGMENT_BYTES) {
      const { offset } = batch[0]!
      await file?.close()
      // A file of this name holds nothing but what a crash tore: whole entries would have made this offset a higher one.
      file = await open(join(folder, segmentName(offset)), 'w')
      await syncFolder(folder)
      if (segments.at(-1)?.offset !== offset) segments.push({ offset, end: offset })
      sizeBytes = 0
    }
    const bytes = Buffer.concat(batch.map(encodeEntry))
    await file.appendFile(bytes)
    await file.datasync()
    sizeBytes += bytes.length
    const last = batch.at(-1)!
    segments.at(-1)!.end = last.offset + last.records.length
  }

  async function read() {
    const names = (await readdir(folder)).filter((name) => name.endsWith(SUFFIX)).sort()
    const records: string[] = []
    let first: number | undefined
    segments.length = 0
    for (const name of names) {
      const offset = Number(name.slice(0, -SUFFIX.length))
      // A segment is named before it is filled: without entries it still tells which offsets are taken.
      first ??= offset
      for (const entry of decodeEntries(await readFile(join(folder, name)))) {
        if (entry.offset !== first + records.length) throw damaged(folder)
        records.push(...entry.records)
      }
      segments.push({ offset, end: first + records.length })
    }
    const session = await readSession(folder)
    return { ...(session === undefined ? {} : { session }), offset: first ?? 0, records }
  }

  return {
    async load() {
      await mkdir(folder, { recursive: true })
      release ??= await lockFolder(folder)
      try {
        await file?.close()
        file = undefined
        broken = undefined
        return await read()
      } catch (error) {
        await release()
        release = undefined
        throw error
      }
    },

    append(offset, records) {
      return new Promise((resolve, reject) => {
        waiting.push({ offset, records, resolve, reject })
        // Appends of one turn share one write.
        writing ??= Promise.resolve().then(drain)
      })
    },

    async setSession(session) {
      await writeSession(folder, session)
    },

    async trim(offset) {
      const done = segments.filter((segment, i) => segment.end <= offset && i < segments.length - 1)
      // Before the first await: another trim may run beside this one.
      for (const segment of done) segments.splice(segments.indexOf(segment), 1)
      for (const segment of done) {
        await rm(join(folder, segmentName(segment.offset)), { force: true })
      }
    },

    async close() {
      await writing
      await file?.close()
      file = undefined
      await release?.()
      release = undefined
    },
  }
}

async function readSession(folder: string): Promise<string | undefined> {
  try {
    return (JSON.parse(await readFile(join(folder, 'session.json'), 'utf8')) as { session: string }).session
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function writeSession(folder: string, session: string) {
  const temporary = join(folder, 'session.json.new')
  const file = await open(temporary, 'w')
  try {
    await file.writeFile(JSON.stringify({ session }))
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, join(folder, 'session.json'))
  await syncFolder(folder)
}

/** A new name in a folder is safe only with the folder itself. */
async function syncFolder(folder: string) {
  if (process.platform === 'win32') return
  const handle = await open(folder)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function encodeEntry({ offset, records }: { offset: number; records: readonly string[] }): Buffer {
  const body = Buffer.from(records.join('\n'))
  const entry = Buffer.allocUnsafe(HEADER_BYTES + body.length)
  entry.writeUInt32BE(body.length, 0)
  entry.writeDoubleBE(offset, 8)
  entry.writeUInt32BE(records.length, 16)
  body.copy(entry, HEADER_BYTES)
  entry.writeUInt32BE(crc32(entry.subarray(8)), 4)
  return entry
}

/** Whole entries; what a crash tore at the end was promised to nobody. */
function decodeEntries(bytes: Buffer): { offset: number; records: string[] }[] {
  const entries: { offset: number; records: string[] }[] = []
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const end = at + HEADER_BYTES + bytes.readUInt32BE(at)
    if (end > bytes.length || crc32(bytes.subarray(at + 8, end)) !== bytes.readUInt32BE(at + 4)) break
    const records = bytes.toString('utf8', at + HEADER_BYTES, end).split('\n')
    entries.push({ offset: bytes.readDoubleBE(at + 8), records })
    at = end
  }
  return entries
}

const segmentName = (offset: number) => `${String(offset).padStart(16, '0')}${SUFFIX}`

const damaged = (folder: string) =>
  new ZerobusError(
    'push.spool_failed',
    `records are missing in the middle of the spool ${folder}; move the folder away to go on without`,
  )
