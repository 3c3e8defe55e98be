import { existsSync, globSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { IngestError } from '../../shared/core/errors.ts'
import { readSnapshot } from '../../shared/delta/snapshot.ts'
import { type Engine, openEngine } from '../../shared/load/engine.ts'
import { readTableSql } from '../../shared/load/read-table.ts'
import { literal, quoted } from '../../shared/load/sql.ts'
import { diskStorage } from '../../shared/storage/disk.ts'

const usage = `npm run test:golden -- <folder>

Reads every Delta table under the folder. Beside a table \`x/delta\` the rows may stand in \`x/expected\`, as Parquet: then
they must be equal. A table without them must be read, or refused by a clear error. Ends with 1 when one is wrong.
`

interface Outcome {
  verdict: 'equal' | 'read' | 'refused' | 'WRONG'
  detail: string
}

async function checkTable(engine: Engine, table: string): Promise<Outcome> {
  const storage = diskStorage(dirname(table))
  const expected = join(dirname(table), 'expected')
  const hasExpected = basename(table) === 'delta' && existsSync(expected)
  try {
    const snapshot = await readSnapshot(storage, basename(table))
    if (!snapshot) return { verdict: hasExpected ? 'WRONG' : 'refused', detail: 'there is no table' }
    return await engine.session(async (session) => {
      const rows = await readTableSql(session, storage, snapshot)
      const [{ count } = { count: 0 }] = await session.rows(`select count(*) as count from (${rows})`)
      const detail = `version ${snapshot.version}, ${snapshot.files.size} files, ${count} rows`
      if (!hasExpected) return { verdict: 'read', detail }
      const columns = snapshot.schema.fields.map(({ name }) => quoted(name)).join(', ')
      const ours = `select ${columns} from (${rows})`
      const theirs = `select ${columns} from read_parquet(${literal(join(expected, '**/*.parquet'))}, union_by_name = true)`
      const [difference] = await session.rows(
        `select (select count(*) from (${ours} except all ${theirs})) as extra, (select count(*) from (${theirs} except all ${ours})) as missing`,
      )
      const { extra, missing } = difference as { extra: bigint; missing: bigint }
      if (extra === 0n && missing === 0n) return { verdict: 'equal', detail }
      return { verdict: 'WRONG', detail: `${detail}; ${missing} expected rows are missing, ${extra} are not expected` }
    })
  } catch (error) {
    const detail = error instanceof IngestError ? `${error.code}: ${error.message}` : String((error as Error).stack)
    const refused = error instanceof IngestError && error.code.startsWith('table.')
    return { verdict: refused && !hasExpected ? 'refused' : 'WRONG', detail }
  }
}

const folder = process.argv[2]
if (!folder || !existsSync(folder)) {
  process.stderr.write(usage)
  process.exit(2)
}
const root = resolve(folder)
// A folder of golden tables may also hold one without a log, to be refused.
const tables = new Set([
  ...globSync('{,**/}_delta_log', { cwd: root }).map((log) => join(root, dirname(log))),
  ...globSync('*/delta', { cwd: root }).flatMap((path) =>
    globSync('*/_delta_log', { cwd: join(root, path) }).length > 0 ? [] : [join(root, path)],
  ),
])
const scratch = await mkdtemp(join(tmpdir(), 'lakeflow-golden-'))
const engine = await openEngine({ scratch })
const counts = { equal: 0, read: 0, refused: 0, WRONG: 0 }
try {
  for (const table of [...tables].sort()) {
    const { verdict, detail } = await checkTable(engine, table)
    counts[verdict]++
    process.stdout.write(`${verdict.padEnd(8)} ${relative(root, table) || '.'}: ${detail}\n`)
  }
} finally {
  engine.close()
  await rm(scratch, { recursive: true })
}
process.stdout.write(
  `${tables.size} tables: ${counts.equal} equal to their expected rows, ${counts.read} read, ${counts.refused} refused, ${counts.WRONG} wrong\n`,
)
process.exitCode = counts.WRONG > 0 || tables.size === 0 ? 1 : 0
