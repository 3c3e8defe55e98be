import { randomUUID } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const kinds = ['begin', 'part', 'end'] as const
export type Kind = (typeof kinds)[number]

export interface Frame {
  kind: Kind
  bytes: Buffer
}

/** A kind and a length. */
const headBytes = 5
const smallestBlock = 4 << 10
const largestBlock = 256 << 10

/** Bytes in memory, or their place in the file. */
type Block = Buffer | { at: number; length: number }

interface Queue {
  blocks: Block[]
  open: Buffer
  used: number
  /** Of the block that is made next: a table with few changes takes little. */
  nextBytes: number
}

/**
 * Frames by table, kept in the order in which they came, to be read at any pace and any number of times. Up to
 * `memoryBytes` they stay in memory, then all move into one file. Its name is removed as soon as it is open, so that a
 * killed process leaves nothing behind.
 */
export class Spool {
  readonly #memoryBytes: number
  readonly #queues = new Map<string, Queue>()
  #inMemory = 0
  #inFile = 0
  #file: FileHandle | undefined
  #closed = false

  constructor(memoryBytes: number) {
    this.#memoryBytes = memoryBytes
  }

  get bytes(): number {
    return this.#inFile + this.#inMemory
  }

  /** Copies the bytes: a few of them must not keep a whole chunk of the socket in memory. */
  write(table: string, kind: Kind, bytes: Buffer): void {
    let queue = this.#queues.get(table)
    if (!queue) {
      queue = { blocks: [], open: Buffer.alloc(0), used: 0, nextBytes: smallestBlock }
      this.#queues.set(table, queue)
    }
    const need = headBytes + bytes.length
    if (queue.open.length - queue.used < need) {
      seal(queue)
      queue.open = Buffer.allocUnsafeSlow(Math.max(queue.nextBytes, need))
      queue.nextBytes = Math.min(largestBlock, queue.nextBytes * 2)
    }
    queue.open[queue.used] = kinds.indexOf(kind)
    queue.open.writeUInt32LE(bytes.length, queue.used + 1)
    bytes.copy(queue.open, queue.used + headBytes)
    queue.used += need
    this.#inMemory += need
  }

  /** Moves what is in memory into the file when it is too much. To be awaited between writes. */
  async settle(): Promise<void> {
    if (this.#inMemory < this.#memoryBytes || this.#closed) return
    if (!this.#file) {
      const file = await unnamedFile()
      if (this.#closed) return file.close()
      this.#file = file
    }
    const moved: { queue: Queue; index: number; bytes: Buffer }[] = []
    for (const queue of this.#queues.values()) {
      seal(queue)
      for (let index = queue.blocks.length - 1; index >= 0; index--) {
        const bytes = queue.blocks[index]!
        if (!Buffer.isBuffer(bytes)) break
        moved.push({ queue, index, bytes })
      }
    }
    const length = moved.reduce((sum, { bytes }) => sum + bytes.length, 0)
    await this.#file.appendFile(
      Buffer.concat(
        moved.map(({ bytes }) => bytes),
        length,
      ),
    )
    for (const { queue, index, bytes } of moved) {
      queue.blocks[index] = { at: this.#inFile, length: bytes.length }
      this.#inFile += bytes.length
    }
    this.#inMemory = 0
  }

  /** The frames of a table's block of this number; undefined when there is none yet. */
  async read(table: string, number: number): Promise<Frame[] | undefined> {
    const queue = this.#queues.get(table)
    if (!queue) return undefined
    if (number === queue.blocks.length) seal(queue)
    const block = queue.blocks[number]
    if (!block) return undefined
    if (Buffer.isBuffer(block)) return framesOf(block)
    const bytes = Buffer.allocUnsafeSlow(block.length)
    for (let have = 0; have < bytes.length; ) {
      const { bytesRead } = await this.#file!.read(bytes, have, bytes.length - have, block.at + have)
      if (bytesRead === 0) throw new Error('the file of a log read is shorter than what was written to it')
      have += bytesRead
    }
    return framesOf(bytes)
  }

  close(): void {
    this.#closed = true
    this.#queues.clear()
    this.#inMemory = 0
    this.#file?.close().catch(() => {})
    this.#file = undefined
  }
}

function seal(queue: Queue): void {
  if (queue.used === 0) return
  queue.blocks.push(queue.open.subarray(0, queue.used))
  queue.open = queue.open.subarray(queue.used)
  queue.used = 0
}

function framesOf(block: Buffer): Frame[] {
  const frames: Frame[] = []
  for (let at = 0; at < block.length; ) {
    const end = at + headBytes + block.readUInt32LE(at + 1)
    frames.push({ kind: kinds[block[at]!]!, bytes: block.subarray(at + headBytes, end) })
    at = end
  }
  return frames
}

async function unnamedFile(): Promise<FileHandle> {
  const path = join(tmpdir(), `lakeflow-log-${randomUUID()}.tmp`)
  const file = await open(path, 'wx+', 0o600)
  await unlink(path)
  return file
}
