import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Annotations } from 'aws-cdk-lib'
import * as lambda from 'aws-cdk-lib/aws-lambda'
import type { Construct } from 'constructs'
import type { Settings } from '../settings.ts'

const root = join(import.meta.dirname, '../..')
const packages = ['node-api', 'node-bindings']

/**
 * DuckDB, 70 MB of native code, as a layer: only functions that merge carry it. npm installs native packages for the
 * machine it runs on, so the one for Lambda's processor is fetched by `npm run layers` (the deploy command does).
 */
export function duckdbLayer(scope: Construct, settings: Settings): lambda.LayerVersion {
  const cpu = settings.architecture === 'arm64' ? 'arm64' : 'x64'
  const wanted = `node-bindings-linux-${cpu}`
  const local = join(root, 'node_modules/@duckdb', wanted)
  const fetched = join(root, 'cdk.out/layers', cpu, 'node_modules/@duckdb', wanted)
  const bindings = [local, fetched].find(existsSync)
  if (!bindings) {
    Annotations.of(scope).addWarningV2(
      'lakeflow:duckdb-layer',
      `the DuckDB layer lacks its ${cpu} library: run "npm run layers" before deploying ("npm run deploy" does)`,
    )
  }
  const folder = join(root, 'cdk.out/layers/duckdb', cpu)
  const target = join(folder, 'nodejs/node_modules/@duckdb')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  for (const name of packages) cpSync(join(root, 'node_modules/@duckdb', name), join(target, name), { recursive: true })
  if (bindings) cpSync(bindings, join(target, wanted), { recursive: true })

  return new lambda.LayerVersion(scope, 'DuckDB', {
    description: 'DuckDB for Node.js',
    code: lambda.Code.fromAsset(folder),
    compatibleArchitectures: [cpu === 'arm64' ? lambda.Architecture.ARM_64 : lambda.Architecture.X86_64],
    compatibleRuntimes: [lambda.Runtime.NODEJS_24_X],
  })
}
