/**
 * `npm run -s bench -- <name> [--json]` runs one workload of this folder; without a name it lists them. A workload is a file
 * that exports `about`, one line, and `run`, which returns its metrics: dotted names to numbers.
 */
import { execFileSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'

export interface Workload {
  about: string
  run(): Promise<Record<string, number>>
}

const { positionals, values } = parseArgs({ allowPositionals: true, options: { json: { type: 'boolean' } } })
const names = globSync('*.ts', { cwd: import.meta.dirname })
  .map((file) => basename(file, '.ts'))
  .filter((name) => name !== 'main')
  .sort()
const [name] = positionals
const load = async (name: string): Promise<Workload> => await import(join(import.meta.dirname, `${name}.ts`))

if (name !== undefined && names.includes(name)) {
  const metrics = await (await load(name)).run()
  if (values.json) {
    const commit = execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' }).trim()
    const machine = {
      cpu: cpus()[0]?.model,
      cores: cpus().length,
      memoryGb: Math.round(totalmem() / 2 ** 30),
      node: process.version,
    }
    console.log(JSON.stringify({ name, commit, machine, metrics }))
  } else {
    for (const [metric, value] of Object.entries(metrics))
      console.log(`${metric.padEnd(36)} ${Number(value.toPrecision(4))}`)
  }
} else {
  if (name !== undefined) process.stderr.write(`there is no workload "${name}"\n\n`)
  console.log('npm run -s bench -- <name> [--json]\n')
  for (const each of names) console.log(`  ${each.padEnd(20)} ${(await load(each)).about}`)
  process.exitCode = name === undefined ? 0 : 2
}
