import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { asyncBufferFromFile, parquetRead } from 'hyparquet'
import type { ProducerResult } from '../push.ts'

/** Longer than any record is left alone before it is offered again: 60 s. */
const PATIENCE_MS = 120_000

/**
 * Polls the log and notes when each file became visible. Afterwards the ids are read from the files with hyparquet, a reader
 * of another make, and matched: the n-th time a message is in the table is the n-th time it was sent.
 */
export function startReader(folder: string) {
  const root = join(folder, 'lake/main/bench/events')
  const files: { path: string; seenMs: number }[] = []
  let rows = 0
  let stopping = false
  const running = poll()

  async function poll() {
    for (let version = 0; !stopping; ) {
      const path = join(root, '_delta_log', `${String(version).padStart(20, '0')}.json`)
      if (!existsSync(path)) {
        await sleep(5)
        continue
      }
      version++
      const seenMs = Date.now()
      for (const line of (await readFile(path, 'utf8')).trim().split('\n')) {
        const { add } = JSON.parse(line) as { add?: { path: string; stats: string } }
        if (!add) continue
        rows += (JSON.parse(add.stats) as { numRecords: number }).numRecords
        files.push({ path: join(root, decodeURIComponent(add.path)), seenMs })
      }
    }
  }

  return {
    /** When the last of so many rows became visible. */
    async caughtUp(wanted: number): Promise<number> {
      for (const started = Date.now(); rows < wanted && Date.now() - started < PATIENCE_MS; ) await sleep(20)
      stopping = true
      await running
      return files.at(-1)?.seenMs ?? 0
    },

    /** Records. `queryableMs`: of each message that is in the table, from its send. */
    async compare({ sends, rowsPerFrame }: ProducerResult) {
      const frames = sends.reduce((most, { frame }) => Math.max(most, frame + 1), 0)
      const sentMs = Array.from({ length: frames }, (): number[] => [])
      for (const { frame, sentMs: atMs } of sends) sentMs[frame]!.push(atMs)
      const found = new Uint32Array(sentMs.length * rowsPerFrame)
      const seenMs = sentMs.map((): number[] => [])
      let duplicated = 0
      for (const file of files) {
        const ids = await idsOf(file.path)
        for (const [i, frame] of ids.frame.entries()) {
          const row = ids.row[i]!
          // What nobody sent counts as well.
          if (frame >= sentMs.length || row >= rowsPerFrame) duplicated++
          else found[frame * rowsPerFrame + row]!++
          if (row === 0) seenMs[frame]?.push(file.seenMs)
        }
      }
      let lost = 0
      const queryableMs: number[] = []
      for (const [frame, sent] of sentMs.entries()) {
        for (let row = 0; row < rowsPerFrame; row++) {
          const times = found[frame * rowsPerFrame + row]!
          lost += Math.max(0, sent.length - times)
          duplicated += Math.max(0, times - sent.length)
        }
        sent.sort((a, b) => a - b)
        for (const [i, seen] of seenMs[frame]!.sort((a, b) => a - b).entries())
          if (sent[i] !== undefined) queryableMs.push(seen - sent[i])
      }
      return { lost, duplicated, queryableMs }
    },
  }
}

/** The columns `frame` and `row` of a file: no other page of it is read, and no object is made of a row. */
async function idsOf(path: string): Promise<{ frame: number[]; row: number[] }> {
  const ids: Record<string, number[]> = { frame: [], row: [] }
  await parquetRead({
    file: await asyncBufferFromFile(path),
    columns: Object.keys(ids),
    onChunk({ columnName, columnData, rowStart }) {
      const column = ids[columnName]!
      for (let i = 0; i < columnData.length; i++) column[rowStart + i] = Number(columnData[i])
    },
  })
  return ids as { frame: number[]; row: number[] }
}
