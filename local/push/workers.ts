import { Worker } from 'node:worker_threads'
import type { FinishedFile } from '../../shared/columnar/batch-writer.ts'
import { type ErrorCode, IngestError, type IngestErrorOptions } from '../../shared/core/errors.ts'
import type { Validate, ValidateInput, Validation } from '../../shared/push/receive.ts'
import type { Added, NewBatch, OpenTableFile, TableFile, TableFileTarget } from '../../shared/push/table-file.ts'
import { validateRows } from '../../shared/push/validate.ts'
import type { Storage, StorageWriter } from '../../shared/storage/storage.ts'

export type WorkerRequest = { id: number } & WorkerAction
type WorkerAction =
  | { do: 'validate'; input: ValidateInput }
  | { do: 'open'; file: number; target: TableFileTarget }
  | { do: 'append'; file: number; rows: Parameters<TableFile['append']>[0] }
  | { do: 'add'; file: number; batch: NewBatch }
  | { do: 'finish' | 'abort'; file: number }

export type WorkerReply =
  | { id: number; result: unknown }
  | { id: number; error: { code: ErrorCode; message: string; options: IngestErrorOptions } }
  | { file: number; bytes: Uint8Array }

/** Under this size a batch is checked on the main thread: the hop to another one costs more. */
const INLINE_BYTES = 8192

/** Threads that check batches and write files. */
export interface PushWorkers {
  validate: Validate
  /** A file whose lane is n is written on the n-th thread. */
  openFile: OpenTableFile
  /** Bytes of files that the storage has yet to take. */
  bufferedBytes(): number
  close(): Promise<void>
}

export function startWorkers(storage: Storage, count: number): PushWorkers {
  const threads = Array.from({ length: count }, () => new Thread())
  let nextFile = 0

  return {
    validate(input) {
      if (input.body.length < INLINE_BYTES && input.encoding === 'none') return inline(input)
      const body = new Uint8Array(input.body)
      return leastBusy(threads).ask({ do: 'validate', input: { ...input, body } }, body) as Promise<Validation>
    },

    async openFile(target) {
      const thread = threads[target.lane % count]!
      const file = nextFile++
      const sink = storage.writer(target.path)
      thread.sinks.set(file, orderly(sink))
      // Not awaited: the thread keeps the order, and what fails here fails the first append.
      thread.ask({ do: 'open', file, target }).catch(() => {})
      return {
        append(rows) {
          const body = new Uint8Array(rows.body)
          return thread.ask({ do: 'append', file, rows: { ...rows, body } }, body) as Promise<void>
        },
        add(batch) {
          const body = new Uint8Array(batch.body)
          return thread.ask({ do: 'add', file, batch: { ...batch, body } }, body) as Promise<Added>
        },
        async finish() {
          const finished = (await thread.ask({ do: 'finish', file })) as FinishedFile | undefined
          await thread.endSink(file, finished ? 'finish' : 'abort')
          return finished
        },
        async abort() {
          // The thread may have died with the file.
          await thread.ask({ do: 'abort', file }).catch(() => {})
          await thread.endSink(file, 'abort')
        },
      }
    },

    bufferedBytes: () =>
      threads.flatMap(({ sinks }) => [...sinks.values()]).reduce((sum, { waitingBytes }) => sum + waitingBytes, 0),

    async close() {
      await Promise.all(threads.map((thread) => thread.close()))
    },
  }
}

async function inline(input: ValidateInput): Promise<Validation> {
  return validateRows(input)
}

const leastBusy = (threads: readonly Thread[]) => threads.reduce((a, b) => (b.busy < a.busy ? b : a))

interface OrderlySink {
  /** Given and not yet written. */
  readonly waitingBytes: number
  write(bytes: Uint8Array): void
  end(how: 'finish' | 'abort'): Promise<unknown>
}

/** Writes that arrive as messages, one after another; a failure is told at the end. */
function orderly(sink: StorageWriter): OrderlySink {
  let last: Promise<void> = Promise.resolve()
  let waitingBytes = 0
  return {
    get waitingBytes() {
      return waitingBytes
    },
    write(bytes) {
      waitingBytes += bytes.length
      last = last
        .then(() => sink.write(bytes))
        .finally(() => {
          waitingBytes -= bytes.length
        })
      last.catch(() => {})
    },
    async end(how) {
      if (how === 'finish') await last
      else await last.catch(() => {})
      await sink[how]()
    },
  }
}

class Thread {
  readonly sinks = new Map<number, OrderlySink>()
  #worker = this.#start()
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>()
  #next = 0
  #outbox: { requests: WorkerRequest[]; owned: ArrayBuffer[] } = { requests: [], owned: [] }

  #start(): Worker {
    const worker = new Worker(new URL('./worker.ts', import.meta.url))
    worker.on('message', (replies: WorkerReply[]) => replies.forEach((reply) => void this.#take(reply)))
    worker.on('error', (cause) => {
      // What it was doing fails and is done again elsewhere: batches are sent again, files are written again.
      this.#failAll(new IngestError('bug.invariant', 'a worker thread of push died', { cause }))
      this.#worker = this.#start()
    })
    return worker
  }

  #failAll(error: IngestError) {
    for (const waiting of this.#waiting.values()) waiting.reject(error)
    this.#waiting.clear()
  }

  #take(reply: WorkerReply) {
    if ('bytes' in reply) return this.sinks.get(reply.file)?.write(reply.bytes)
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if ('error' in reply) {
      const { code, message, options } = reply.error
      waiting?.reject(new IngestError(code, message, options))
    } else waiting?.resolve(reply.result)
  }

  get busy(): number {
    return this.#waiting.size + this.sinks.size
  }

  /**
   * Requests of one turn of the event loop go together: waking a thread costs as much as checking a small batch.
   *
   * `owned` is moved, not cloned. It must be a copy of its own: a view is sent with the whole buffer it looks into, and a
   * received message or a queue record is a small view of a large one.
   */
  ask(action: WorkerAction, owned?: Uint8Array<ArrayBuffer>): Promise<unknown> {
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      if (this.#outbox.requests.push({ id, ...action }) === 1) setImmediate(() => this.#post())
      if (owned) this.#outbox.owned.push(owned.buffer)
    })
  }

  #post() {
    const { requests, owned } = this.#outbox
    this.#outbox = { requests: [], owned: [] }
    this.#worker.postMessage(requests, owned)
  }

  async endSink(file: number, how: 'finish' | 'abort') {
    const sink = this.sinks.get(file)
    this.sinks.delete(file)
    await sink?.end(how)
  }

  /** What was not answered is in the queue, and is done at the next start. */
  async close() {
    await this.#worker.terminate()
    this.#failAll(new IngestError('queue.unavailable', 'the push server has stopped'))
  }
}
