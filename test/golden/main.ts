import { existsSync, globSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { openEngine } from '../../shared/load/engine.ts'
import { checkTable } from './check.ts'

const usage = `npm run test:golden -- <folder>

Reads every Delta table under the folder. Beside a table \`x/delta\` the rows may stand in \`x/expected\`, as Parquet, or by
version in \`x/expected/{latest,v0,v1...}/table_content\`: then they must be equal, or the table is refused for a feature by
name. A table without them must be read, with as many rows as its log counts, or refused by a clear error. Ends with 1
when one is wrong.
`

const folder = process.argv[2]
if (!folder || !existsSync(folder)) {
  process.stderr.write(usage)
  process.exit(2)
}
const root = resolve(folder)
// A folder of golden tables may also hold one without a log, to be refused.
const tables = new Set([
  ...globSync('{,**/}_delta_log', { cwd: root }).map((log) => join(root, dirname(log))),
  ...globSync('{,**/}delta', { cwd: root }).flatMap((path) =>
    globSync('{,**/}_delta_log', { cwd: join(root, path) }).length > 0 ? [] : [join(root, path)],
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
  `${tables.size} tables: ${counts.equal} equal to their expected rows, ${counts.read} read without any, ${counts.refused} refused, ${counts.WRONG} wrong\n`,
)
process.exitCode = counts.WRONG > 0 || tables.size === 0 ? 1 : 0
