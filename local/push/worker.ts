import { parentPort } from 'node:worker_threads'
import { createBatchWriter } from '../../shared/columnar/parquet-writer.ts'
import { asIngestError, type IngestErrorOptions, invariant } from '../../shared/core/errors.ts'
import { giveBack } from '../../shared/push/payload.ts'
import { type TableFile, tableFile } from '../../shared/push/table-file.ts'
import { validateRows } from '../../shared/push/validate.ts'
import type { WorkerReply, WorkerRequest } from './workers.ts'

/** The entry of a worker thread: checks batches and makes Parquet files, whose bytes go back to the main thread. */
const port = parentPort!
const files = new Map<number, TableFile>()
/** One request after another: a file's appends are in order. */
let last: Promise<void> = Promise.resolve()
let waiting = 0

port.on('message', (requests: WorkerRequest[]) => {
  waiting += requests.length
  for (const request of requests) last = last.then(() => answer(request))
})

async function answer(request: WorkerRequest) {
  waiting--
  try {
    reply({ id: request.id, result: await act(request) })
  } catch (cause) {
    const error = asIngestError(cause)
    const options: IngestErrorOptions = error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }
    reply({ id: request.id, error: { code: error.code, message: error.message, options } })
  } finally {
    const body = bodyOf(request)
    if (body) giveBack(body.buffer)
  }
}

/** It was moved to this thread, and is a copy of its own. */
function bodyOf(request: WorkerRequest): Uint8Array | undefined {
  if (request.do === 'validate') return request.input.body
  if (request.do === 'append') return request.rows.body
  return request.do === 'add' ? request.batch.body : undefined
}

async function act(request: WorkerRequest): Promise<unknown> {
  switch (request.do) {
    case 'validate':
      return validateRows(request.input)
    case 'open':
      files.set(request.file, tableFile(request.target, sinkOf(request.file), createBatchWriter))
      return undefined
    case 'append':
      return fileOf(request.file).append(request.rows)
    case 'add':
      return fileOf(request.file).add(request.batch)
    case 'finish':
    case 'abort': {
      const file = fileOf(request.file)
      files.delete(request.file)
      return request.do === 'finish' ? file.finish() : file.abort()
    }
  }
}

function fileOf(file: number): TableFile {
  const found = files.get(file)
  invariant(found, `a file was being written on a thread that died`)
  return found
}

/** Finished bytes leave the thread at once; the main thread writes them in order. */
function sinkOf(file: number) {
  return {
    async write(bytes: Uint8Array) {
      // One piece that has its buffer for itself is moved instead of cloned.
      const own = bytes.byteLength === bytes.buffer.byteLength ? (bytes as Uint8Array<ArrayBuffer>) : bytes.slice()
      port.postMessage([{ file, bytes: own }] satisfies WorkerReply[], [own.buffer])
    },
    finish: async () => ({ sizeBytes: 0 }),
    abort: async () => {},
  }
}

/** Waking the main thread costs as much as checking a small batch, so answers wait for each other, but not long. */
const REPLY_MS = 3
let replies: WorkerReply[] = []
let repliedAtMs = 0

function reply(message: WorkerReply) {
  replies.push(message)
  const now = performance.now()
  if (waiting > 0 && now - repliedAtMs < REPLY_MS) return
  repliedAtMs = now
  port.postMessage(replies)
  replies = []
}
