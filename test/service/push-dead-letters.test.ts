import { afterEach, expect, test } from '@jest/globals'
import type { CommandContext } from '../../local/command.ts'
import { pushDeadLetters } from '../../local/push/send-dead-letters.ts'
import type { PushServer, PushServerOptions } from '../../local/push-server.ts'
import { deadLetters, readDeadLetter, writeDeadLetter } from '../../shared/push/dead-letters.ts'
import type { Storage } from '../../shared/storage/storage.ts'
import { everyCrashPoint } from '../support/crash.ts'
import { faultyStorage } from '../support/faulty-storage.ts'
import { CLICKS, rowsOf } from '../support/push.ts'
import { startTestPush } from '../support/push-door.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const startServer = (options: Partial<PushServerOptions> = {}) => startTestPush(cleanups, options)

const deadLetterReason = { code: 'push.table_changed', message: 'the column n is gone' }

async function resendDeadLetters(server: PushServer, storage: Storage) {
  const lines: string[] = []
  const context = {
    open: async () => ({ storage }),
    output: { json: false, line: (text: string) => lines.push(text), error: (text: string) => lines.push(text) },
    signal: new AbortController().signal,
  } as unknown as CommandContext
  const target = { url: server.url, token: 'secret', async [Symbol.asyncDispose]() {} }
  return { exitCode: await pushDeadLetters(context, CLICKS, target), lines }
}

async function lettersIn(storage: Storage) {
  const letters = await Array.fromAsync(deadLetters(CLICKS, storage))
  return Promise.all(
    letters.map(async (letter) => [
      letter.path.split('/').at(-1),
      Buffer.from(await readDeadLetter(letter, storage)).toString(),
    ]),
  )
}

test('dead letters are sent again once each, and what still does not fit becomes a letter of its own', async () => {
  const server = await startServer()
  const put = (name: string, rows: string) =>
    writeDeadLetter(
      { path: `_dead_letters/${CLICKS}/${name}`, reason: deadLetterReason },
      Buffer.from(rows),
      server.lake,
    )
  await put('a-0-2', '{"id":"a"}\n{"id":7}\n')
  await put('b-0-1', '{"id":"b"}\n')

  const { exitCode, lines } = await resendDeadLetters(server, server.lake)
  const left = await lettersIn(server.lake)
  const again = await resendDeadLetters(server, server.lake)
  const leftAgain = await lettersIn(server.lake)
  await server.close()

  expect(exitCode).toBe(1)
  expect(lines).toEqual([
    `_dead_letters/${CLICKS}/a-0-2.ndjson, line 2: id wrong_type, got number, wanted string`,
    `2 dead letters sent to ${CLICKS}, 1 with records that do not fit`,
  ])
  expect(left).toEqual([['a-0-2-rest', '{"id":7}\n']])
  expect(again.exitCode).toBe(1)
  expect(leftAgain).toEqual([['a-0-2-rest2', '{"id":7}\n']])
  expect((await rowsOf(server.lake)).map((row) => row.id).sort()).toEqual(['a', 'b'])
})

test('a letter that is larger than what the door takes at once is sent in pieces', async () => {
  const server = await startServer()
  const rows = Array.from({ length: 60 }, (_, n) => `{"id":"${String(n).padStart(100_000, '0')}"}\n`)
  rows[50] = '{"id":7}\n'
  const path = `_dead_letters/${CLICKS}/a-0-60`
  await writeDeadLetter({ path, reason: deadLetterReason }, Buffer.from(rows.join('')), server.lake)

  const { lines } = await resendDeadLetters(server, server.lake)
  const left = await lettersIn(server.lake)
  await server.close()

  expect(lines[0]).toBe(`${path}.ndjson, line 51: id wrong_type, got number, wanted string`)
  expect(left).toEqual([['a-0-60-rest', '{"id":7}\n']])
  expect((await rowsOf(server.lake)).map((row) => Number(row.id))).toEqual(
    Array.from({ length: 60 }, (_, n) => n).filter((n) => n !== 50),
  )
})

test('whichever await the sender of dead letters dies at, the next one leaves each record in the table or in a letter', async () => {
  const points = await everyCrashPoint(async (crash) => {
    const committed = Promise.withResolvers<void>()
    const server = await startServer({ events: { committed: () => committed.resolve() } })
    const path = `_dead_letters/${CLICKS}/a-0-2`
    const rows = Buffer.from('{"id":"a"}\n{"id":7}\n')
    await writeDeadLetter({ path, reason: deadLetterReason }, rows, server.lake)

    await crash.life(() => resendDeadLetters(server, faultyStorage(server.lake, { crash })))
    // The door has forgotten nothing by the time the records are in the table.
    if ((await lettersIn(server.lake)).some(([name]) => name === 'a-0-2')) {
      await fetch(`${server.url}/zerobus/v1/tables/${CLICKS}/insert`, {
        method: 'POST',
        body: '{"id":"other"}',
        headers: { authorization: 'Bearer secret' },
      })
      await committed.promise
      await resendDeadLetters(server, server.lake)
    }
    const left = await lettersIn(server.lake)
    await server.close()

    expect(left).toEqual([[expect.stringMatching(/^a-0-2-rest2?$/), '{"id":7}\n']])
    expect((await rowsOf(server.lake)).map((row) => row.id).filter((id) => id !== 'other')).toEqual(['a'])
  })

  expect(points).toBeGreaterThan(6)
})
