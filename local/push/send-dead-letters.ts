import { IngestError } from '../../shared/core/errors.ts'
import { deadLetters, readDeadLetter, removeDeadLetter, writeDeadLetter } from '../../shared/push/dead-letters.ts'
import { keepRecords } from '../../shared/push/records.ts'
import type { CommandContext } from '../command.ts'

interface Answer {
  rejectedRanges?: [number, number][]
  rejected?: { offset: number; column: string; code: string; got: string; wanted: string }[]
  error?: { message: string }
}

/**
 * Sends the dead letters of a table again, each once: its name is the key of its request. Records that still do not fit
 * become a letter of their own.
 *
 * @throws IngestError `push.unreachable` (retry) when the server refuses; the letters before are stored
 */
export async function pushDeadLetters(
  { open, output, signal }: CommandContext,
  table: string,
  target: { url: string; token: string } & AsyncDisposable,
): Promise<number> {
  await using server = target
  const { storage } = await open()
  const letters = await Array.fromAsync(deadLetters(table, storage))
  let kept = 0
  for (const letter of letters) {
    if (signal.aborted) break
    const rows = await readDeadLetter(letter, storage)
    const { error, rejectedRanges, rejected } = await insert(server, table, letter.path, rows)
    if (error) throw new IngestError('push.unreachable', error.message)
    if (rejectedRanges && rejected?.[0]) {
      const { offset, column, code, got, wanted } = rejected[0]
      const message = `line ${offset + 1}: ${column} ${code}, got ${got}, wanted ${wanted}`
      output.error(`${letter.path}.ndjson, ${message}`)
      const rest = { path: `${letter.path}-rest`, reason: { code, message } }
      await writeDeadLetter(rest, keepRecords(rows, rejectedRanges), storage)
      kept++
    }
    await removeDeadLetter(letter, storage)
  }
  if (output.json) output.record({ type: 'pushed', table, letters: letters.length, kept })
  else
    output.line(
      `${letters.length} dead letters sent to ${table}${kept > 0 ? `, ${kept} with records that do not fit` : ''}`,
    )
  return kept > 0 ? 1 : 0
}

async function insert(server: { url: string; token: string }, table: string, key: string, body: Uint8Array) {
  const response = await fetch(`${server.url}/zerobus/v1/tables/${table}/insert`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.token}`, 'idempotency-key': key },
    body: new Uint8Array(body),
  })
  return (await response.json()) as Answer
}
