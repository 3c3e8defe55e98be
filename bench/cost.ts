import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { monthly, peers } from './cost/prices.ts'

export const about =
  "a month's bill of a workload: GB_PER_DAY=100 ROWS_PER_DAY=5e6 PIPELINES=20 RUNS_PER_DAY=96 TABLE_GB=500"

/** What `bench -- lambda` measured; it writes this file with WRITE=1. */
interface Measured {
  pushUsdPerGb: number
  pullUsdPerMillionRows: number
  pullUsdPerIdleRun: number
}

const DAYS = 30

/** The workload of the environment, priced from measured Lambda time and list prices; no free tier, no discount. */
export async function run(): Promise<Record<string, number>> {
  const measured: Measured = JSON.parse(readFileSync(join(import.meta.dirname, 'cost/measured.json'), 'utf8'))
  const given = (name: string, otherwise: number) => Number(process.env[name] ?? otherwise)
  const gigabytes = given('GB_PER_DAY', 100) * DAYS
  const millions = (given('ROWS_PER_DAY', 5e6) * DAYS) / 1e6
  const runs = given('PIPELINES', 20) * given('RUNS_PER_DAY', 96) * DAYS
  const bill = {
    'push, USD a month': gigabytes * measured.pushUsdPerGb,
    'pull, rows, USD a month': millions * measured.pullUsdPerMillionRows,
    'pull, runs, USD a month': runs * measured.pullUsdPerIdleRun,
    'tables in S3, USD a month': given('TABLE_GB', 500) * monthly.s3Gb,
    'alarms and dashboard, USD a month': monthly.alarms * monthly.alarm + monthly.dashboard,
  }
  const total = Object.values(bill).reduce((sum, usd) => sum + usd, 0)
  compare('the same events', gigabytes, peers.pushUsdPerGb)
  compare('the same rows, if each is one active row', millions, peers.pullUsdPerMillionRows)
  return { ...bill, 'all, USD a month': total }
}

function compare(what: string, amount: number, list: Record<string, { usd: number; source: string }>): void {
  console.error(`\n${what} elsewhere`)
  for (const [name, { usd, source }] of Object.entries(list))
    console.error(`  ${name.padEnd(26)} ${(amount * usd).toFixed(2).padStart(10)} USD a month (${source})`)
}
