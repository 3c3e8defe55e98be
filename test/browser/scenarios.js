import { ZerobusSdk } from '@lakeflow/zerobus'

// What a producer does, the same in Node and in a page: each function sends records whose ids begin with `prefix` and resolves
// to what the test asks of it. `target` is { url, token or tokenUrl, table, prefix }.

const quick = { lingerMs: 5, recoveryBackoffMs: 20 }
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

function open(target, options) {
  let tokens = 0
  const token = async () => {
    tokens++
    return target.tokenUrl ? (await fetch(target.tokenUrl)).text() : target.token
  }
  const sdk = new ZerobusSdk(target.url, { token })
  return { sdk, tokens: () => tokens, stream: sdk.createStream({ tableName: target.table }, { ...quick, ...options }) }
}

/** Many records at once, in the table when it resolves. */
export async function ingest(target, { count, compression }) {
  const stream = await open(target, { compression }).stream
  let acked = -1
  const records = Array.from({ length: count }, (_, n) => ({ id: `${target.prefix}:${n}`, n }))
  const last = await stream.ingestRecordsOffset(records)
  await stream.waitForCommit(last)
  await stream.waitForOffset(last).then(() => {
    acked = Number(last)
  })
  await stream.close()
  return { acked, columns: stream.columns.map(({ name }) => name) }
}

/** A record every few milliseconds, for as long as it is told to. */
export async function trickle(target, { forMs, compression = 'gzip' }) {
  const troubles = []
  const opened = open(target, { compression, onError: (error) => troubles.push(error.code) })
  const stream = await opened.stream
  const endMs = Date.now() + forMs
  let sent = 0
  for (; Date.now() < endMs; await pause(5))
    await stream.ingestRecordOffset({ id: `${target.prefix}:${sent}`, n: sent++ })
  await stream.close()
  return { sent, tokens: opened.tokens(), troubles, unacked: (await stream.getUnackedRecords()).length }
}

/** Records into a network that stands still: `close` rejects and hands them back; another stream goes on with them. */
export async function standStill(target, { count, freezeUrl, thawUrl }) {
  const { sdk, stream: opening } = open(target, { flushTimeoutMs: 300 })
  const stream = await opening
  await stream.waitForOffset(await stream.ingestRecordOffset({ id: `${target.prefix}:0`, n: 0 }))
  await fetch(freezeUrl, { method: 'POST' })
  for (let n = 1; n < count; n++) await stream.ingestRecordOffset({ id: `${target.prefix}:${n}`, n })
  const failure = await stream.close().then(
    () => 'closed',
    (error) => error.code,
  )
  const left = (await stream.getUnackedRecords()).map((bytes) => JSON.parse(new TextDecoder().decode(bytes)).n)
  await fetch(thawUrl, { method: 'POST' })
  const second = await sdk.recreateStream(stream, quick)
  await second.close()
  return { failure, left, after: (await second.getUnackedRecords()).length }
}

/** A token that may not write: the code of the refusal. */
export async function refused(target) {
  return open({ ...target, token: 'wrong', tokenUrl: undefined }).stream.then(
    () => 'opened',
    (error) => ({ code: error.code, retryable: error.isRetryable }),
  )
}
