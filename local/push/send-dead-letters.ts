import { type ErrorCode, errorCodes, IngestError } from '../../shared/core/errors.ts'
import {
  type DeadLetter,
  deadLetters,
  readDeadLetter,
  removeDeadLetter,
  writeDeadLetter,
} from '../../shared/push/dead-letters.ts'
import { inPieces, keepRecords } from '../../shared/push/records.ts'
import type { CommandContext } from '../command.ts'

interface Answer {
  rejectedRanges?: [number, number][]
  rejected?: { offset: number; column: string; code: string; got: string; wanted: string }[]
  error?: { code: string; message: string }
}

/** A letter may be larger than what the door takes at once: it holds a batch as it was before compression. */
const PIECE_BYTES = 2 << 20

/**
 * Sends the dead letters of a table again, each once: its name is the key of its requests, and a repeated key gets the same
 * answer. Records that still do not fit become a letter of their own before theirs is removed, so a crash anywhere loses
 * none.
 *
 * @throws IngestError what the server refused with, or `push.unreachable` (retry); the letters before are stored
 */
export async function pushDeadLetters(
  { open, output, signal }: CommandContext,
  table: string,
  target: { url: string; token: string } & AsyncDisposable,
): Promise<number> {
  await using server = target
  const { storage } = await open()
  // What is left of a letter is written again as long as the letter is there, so it waits for its removal.
  const letters = (await Array.fromAsync(deadLetters(table, storage))).sort((a, b) => restNumber(a) - restNumber(b))
  let sent = 0
  let kept = 0
  for (const letter of letters) {
    if (signal.aborted) break
    const rows = await readDeadLetter(letter, storage)
    const name = letter.path.slice(letter.path.lastIndexOf('/') + 1)
    const unfit: Uint8Array[] = []
    let reason: { code: string; message: string } | undefined
    for (const { first, rows: piece } of inPieces(rows, PIECE_BYTES)) {
      const { rejectedRanges, rejected } = await insert(server, table, `${name}#${first}`, piece)
      if (!rejectedRanges || !rejected?.[0]) continue
      unfit.push(keepRecords(piece, rejectedRanges))
      const { offset, column, code, got, wanted } = rejected[0]
      reason ??= { code, message: `line ${first + offset + 1}: ${column} ${code}, got ${got}, wanted ${wanted}` }
    }
    if (reason) {
      output.error(`${letter.path}.ndjson, ${reason.message}`)
      await writeDeadLetter({ path: restOf(letter), reason }, Buffer.concat(unfit), storage)
      kept++
    }
    await removeDeadLetter(letter, storage)
    sent++
  }
  if (output.json) output.record({ type: 'pushed', table, letters: sent, kept })
  else output.line(`${sent} dead letters sent to ${table}${kept > 0 ? `, ${kept} with records that do not fit` : ''}`)
  return kept > 0 ? 1 : 0
}

const REST = /-rest(\d*)$/

/** Which rest of a rest a letter is; 0 for one that is none. */
function restNumber({ path }: DeadLetter): number {
  const found = REST.exec(path)
  return found ? Number(found[1] || '1') : 0
}

/** Another name each time: what was answered to one name is answered to it again. */
function restOf(letter: DeadLetter): string {
  const number = restNumber(letter) + 1
  return `${letter.path.replace(REST, '')}-rest${number > 1 ? number : ''}`
}

async function insert(server: { url: string; token: string }, table: string, key: string, body: Uint8Array) {
  const answer = await ask(server, table, key, body)
  if (!answer.error) return answer
  const { code, message } = answer.error
  throw new IngestError(code in errorCodes ? (code as ErrorCode) : 'push.unreachable', `${key}: ${message}`)
}

async function ask(server: { url: string; token: string }, table: string, key: string, body: Uint8Array) {
  try {
    const response = await fetch(`${server.url}/zerobus/v1/tables/${table}/insert`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.token}`, 'idempotency-key': key },
      body: new Uint8Array(body),
    })
    return (await response.json()) as Answer
  } catch (cause) {
    throw new IngestError('push.unreachable', `${server.url} did not answer: ${(cause as Error).message}`, { cause })
  }
}
