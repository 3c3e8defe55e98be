import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../shared/core/clock.ts'
import { systemRandom } from '../../shared/core/random.ts'
import { commit, createTable } from '../../shared/delta/commit.ts'
import { newTable } from '../../shared/delta/new-table.ts'
import type { Engine } from '../../shared/load/engine.ts'
import { literal } from '../../shared/load/sql.ts'
import { openWorkspace } from '../../shared/load/workspace.ts'
import { addFiles, writeFiles } from '../../shared/load/write-files.ts'
import { parseTypeText } from '../../shared/schema/type-text.ts'
import { diskStorage } from '../../shared/storage/disk.ts'

const columns = {
  id: 'long',
  customer: 'long',
  status: 'string',
  amount: 'decimal(12,2)',
  updated_at: 'timestamp',
  note: 'string',
}
const schema = {
  fields: Object.entries(columns).map(([name, type]) => ({ name, type: parseTypeText(type), nullable: true })),
}

/** An order as SQL over its `id`; `version` changes all but the key. About 100 bytes of text. */
const order = (version: number | string) => `
  id, (hash(id, ${version}) % 1000000)::bigint customer, ['new', 'paid', 'sent', 'returned'][(1 + hash(id, ${version}) % 4)::bigint] status,
  ((hash(id, ${version}, 1) % 10000000) / 100)::decimal(12, 2) amount,
  make_timestamptz(1700000000000000 + id * 1000 + ${version}) updated_at,
  'order ' || id || ' of ' || md5((id + ${version})::varchar) note`

/** A table of `rows` orders with keys 0, 1, 2..., in files of neighbouring keys, as a backfill leaves them. */
export async function makeOrders(folder: string, root: string, rows: number, engine: Engine): Promise<void> {
  const storage = diskStorage(folder)
  const ports = { storage, clock: systemClock, random: systemRandom }
  const made = await createTable(root, newTable(schema, ports), ports)
  if (made.kind !== 'committed') throw new Error(`the table was not made: ${made.kind}`)
  await engine.session(async (session) => {
    const work = await openWorkspace(session, made.snapshot, ports)
    const perFile = Math.max(1, Math.ceil(rows / 20))
    const add = []
    for (let start = 0; start < rows; start += perFile) {
      const ids = `select range::bigint id from range(${start}, ${Math.min(rows, start + perFile)})`
      add.push(...addFiles(work, await writeFiles(work, `select ${order(0)} from (${ids}) order by id`, ports), ports))
    }
    await commit(made.snapshot, { operation: 'WRITE', add, reads: 'nothing' }, ports)
  })
}

/**
 * Changes as a changefeed has them, in `<name>.parquet`: 90 % updates, 5 % deletes, 5 % inserts of new keys; a key may
 * change more than once. `uniform`: over all keys; `skewed`: over the newest twentieth of them. `<name>-last.parquet`
 * has only the last change of each key, which is what a plain MERGE can take.
 */
export async function makeChanges(
  folder: string,
  { spread, count, rows }: { spread: 'uniform' | 'skewed'; count: number; rows: number },
  engine: Engine,
): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const width = spread === 'skewed' ? Math.ceil(rows / 20) : rows
  const [all, last] = ['', '-last'].map((name) => literal(join(folder, `${spread}${name}.parquet`)))
  await engine.session(async (session) => {
    await session.run(`
      create temp table changes as
      select ${order('i')}, i % 20 = 1 as __deleted, row_number() over (order by hash(i)) place from (
        select i, case when i % 20 = 0 then ${rows} + i // 20 else ${rows - width} + (hash(i, 7) % ${width})::bigint end id
        from range(${count}) r(i))`)
    await session.run('set preserve_insertion_order = true')
    await session.run(`copy (select * exclude (place) from changes order by place) to ${all} (format parquet)`)
    await session.run(`
      copy (select * exclude (place) from changes qualify row_number() over (partition by id order by place desc) = 1)
      to ${last} (format parquet)`)
    await session.run('set preserve_insertion_order = false')
  })
}
