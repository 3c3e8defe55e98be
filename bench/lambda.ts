import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../local/embedded-postgres.ts'
import { deployAccount } from '../test/rehearsal/account.ts'
import { synthesize } from '../test/rehearsal/synthesize.ts'
import { readAssembly } from '../test/rehearsal/template.ts'
import { startMoto } from '../test/support/moto.ts'
import { priceOf, totalOf, type Work } from './cost/model.ts'
import { measurePull, ROWS } from './lambda/pull.ts'
import { measurePush } from './lambda/push.ts'

export const about =
  'cold starts, time and memory of every Lambda in the rehearsal, and what they cost; ROWS=100000 MEGABYTES=20'

/** The real bundles in an emulated account. What AWS bills is worked out in bench/cost/model.ts, line by line. */
export async function run(): Promise<Record<string, number>> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-lambda-'))
  const moto = await startMoto()
  Object.assign(process.env, moto.env)
  const server = await startEmbeddedPostgres({ dataFolder: join(folder, 'data'), settings: { fsync: 'off' } })
  try {
    const account = await deployAccount(readAssembly(synthesize()), moto.url)
    const pull = await measurePull(account, moto.env, server.url)
    tell(`a first copy of ${ROWS} rows`, pull.copy)
    tell('a run that finds nothing new', pull.idle)
    const push = await measurePush(account, moto.env)
    tell(`${push.rawGb.toPrecision(3)} GB of events pushed`, push.work)
    const prices = {
      pushUsdPerGb: totalOf(priceOf(push.work)) / push.rawGb,
      pullUsdPerMillionRows: (totalOf(priceOf(pull.copy)) * 1e6) / ROWS,
      pullUsdPerIdleRun: totalOf(priceOf(pull.idle)),
    }
    if (process.env.WRITE)
      writeFileSync(join(import.meta.dirname, 'cost/measured.json'), `${JSON.stringify(prices, null, 2)}\n`)
    return {
      ...prices,
      ...pull.metrics,
      ...push.metrics,
    }
  } finally {
    await server.stop()
    rmSync(server.dataFolder, { recursive: true, force: true })
    rmSync(folder, { recursive: true, force: true })
    await moto.stop()
  }
}

function tell(what: string, work: Work): void {
  console.error(`\n${what}`)
  for (const [line, usd] of Object.entries(priceOf(work)))
    if (usd > 0) console.error(`  ${line.padEnd(28)} ${usd.toExponential(2)} USD`)
  for (const [name, fn] of Object.entries(work.functions)) {
    const calls = Object.entries(fn.calls).map(([kind, { count }]) => `${count} ${kind}`)
    console.error(
      `  ${name}: ${fn.invocations} invocations, ${fn.cpuMs.toFixed(0)} ms of processor time; ${calls.join(', ')}`,
    )
  }
}
