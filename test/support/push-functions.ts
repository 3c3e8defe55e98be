import { createBatchWriter } from '../../shared/columnar/parquet-writer.ts'
import { readAnnouncement } from '../../shared/push/announcement.ts'
import { commitAnnounced } from '../../shared/push/commit-announced.ts'
import { defaultFlushLimits } from '../../shared/push/flush.ts'
import { flushOnce } from '../../shared/push/flush-once.ts'
import { tableFile } from '../../shared/push/table-file.ts'
import { createPushTables } from '../../shared/push/tables.ts'
import type { Queue } from '../../shared/queue/queue.ts'
import { seededRandom } from './delta.ts'
import { CLICKS, clicks, type PushPorts } from './push.ts'

export interface FunctionPorts extends PushPorts {
  flushed: Queue
}

/** What a Lambda of push does with what its event source hands over; the source deletes what was handled. */
export function pushFunctions(ports: FunctionPorts, seed: number) {
  const random = seededRandom(seed)
  const tables = createPushTables([clicks], { ...ports, random }, 0)
  const openFile = async (target: Parameters<typeof tableFile>[0]) =>
    tableFile(target, ports.storage.writer(target.path), createBatchWriter)

  return {
    async flush() {
      const records = await ports.queue.receive({ maxBytes: 1 << 30, maxRecords: 10_000, visibilityMs: 60_000 })
      const { handled, errors } = await flushOnce(records, { ...ports, random, tables, openFile }, defaultFlushLimits)
      if (errors[0]) throw errors[0]
      await ports.queue.delete([...handled])
    },

    async commit() {
      const records = await ports.flushed.receive({ maxBytes: 1 << 30, maxRecords: 10, visibilityMs: 60_000 })
      if (records.length === 0) return
      await commitAnnounced(CLICKS, records.map(readAnnouncement), `function-${seed}`, { ...ports, random })
      await ports.flushed.delete(records.map(({ receipt }) => receipt))
    },
  }
}
