import { Worker } from 'node:worker_threads'
import type { FinishedFile } from '../../shared/columnar/batch-writer.ts'
import { type ErrorCode, IngestError, type IngestErrorOptions } from '../../shared/core/errors.ts'
import type { Validate, ValidateInput, Validation } from '../../shared/push/receive.ts'
import type { OpenTableFile, TableFile, TableFileTarget } from '../../shared/push/table-file.ts'
import { validateRows } from '../../shared/push/validate.ts'
import type { Storage, StorageWriter } from '../../shared/storage/storage.ts'

export type WorkerRequest = { id: number } & WorkerAction
type WorkerAction =
  | { do: 'validate'; input: ValidateInput }
  | { do: 'open'; file: number; target: TableFileTarget }
  | { do: 'append'; file: number; rows: Parameters<TableFile['append']>[0] }
  | { do: 'finish' | 'abort'; file: number }

export type WorkerReply =
  | { id: number; result: unknown }
  | { id: number; error: { code: ErrorCode; message: string; options: IngestErrorOptions } }
  | { file: number; bytes: Uint8Array }

/** Under this size a batch is checked on the main thread: the hop to another one costs more. */
const INLINE_BYTES = 8192

/** Threads that validate and threads that write files: a file being compressed must not hold up an ack. */
export interface PushWorkers {
  validate: Validate
  openFile: OpenTableFile
  close(): Promise<void>
}

export function startWorkers(storage: Storage, counts: { validators: number; writers: number }): PushWorkers {
  const validators = Array.from({ length: counts.validators }, () => new Thread())
  const writers = Array.from({ length: counts.writers }, () => new Thread())
  let nextFile = 0

  return {
    validate(input) {
      if (input.body.length < INLINE_BYTES && input.encoding === 'none') return inline(input)
      const body = new Uint8Array(input.body)
      return leastBusy(validators).ask({ do: 'validate', input: { ...input, body } }, body) as Promise<Validation>
    },

    async openFile(target) {
      const thread = leastBusy(writers)
      const file = nextFile++
      const sink = storage.writer(target.path)
      thread.sinks.set(file, orderly(sink))
      await thread.ask({ do: 'open', file, target })
      return {
        append(rows) {
          const body = new Uint8Array(rows.body)
          return thread.ask({ do: 'append', file, rows: { ...rows, body } }, body) as Promise<void>
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

    async close() {
      await Promise.all([...validators, ...writers].map((thread) => thread.close()))
    },
  }
}

async function inline(input: ValidateInput): Promise<Validation> {
  return validateRows(input)
}

const leastBusy = (threads: readonly Thread[]) => threads.reduce((a, b) => (b.busy < a.busy ? b : a))

interface OrderlySink {
  write(bytes: Uint8Array): void
  end(how: 'finish' | 'abort'): Promise<unknown>
}

/** Writes that arrive as messages, one after another; a failure is told at the end. */
function orderly(sink: StorageWriter): OrderlySink {
  let last: Promise<void> = Promise.resolve()
  return {
    write(bytes) {
      last = last.then(() => sink.write(bytes))
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

  #start(): Worker {
    const worker = new Worker(new URL('./worker.ts', import.meta.url))
    worker.on('message', (reply: WorkerReply) => this.#take(reply))
    worker.on('error', (cause) => {
      // What it was doing fails and is done again elsewhere: batches are sent again, files are written again.
      const error = new IngestError('bug.invariant', 'a worker thread of push died', { cause })
      for (const waiting of this.#waiting.values()) waiting.reject(error)
      this.#waiting.clear()
      this.#worker = this.#start()
    })
    return worker
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
   * `owned` is moved, not cloned. It must be a copy of its own: a view is sent with the whole buffer it looks into, and a
   * received message or a queue record is a small view of a large one.
   */
  ask(action: WorkerAction, owned?: Uint8Array<ArrayBuffer>): Promise<unknown> {
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ id, ...action }, owned ? [owned.buffer] : [])
    })
  }

  async endSink(file: number, how: 'finish' | 'abort') {
    const sink = this.sinks.get(file)
    this.sinks.delete(file)
    await sink?.end(how)
  }

  async close() {
    await this.#worker.terminate()
  }
}
