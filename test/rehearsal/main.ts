/**
 * `npm run rehearse [-- jest arguments]`: synthesizes the stacks for this machine's processor, starts an emulated
 * account, and runs the Jest project `rehearsal` in it: real bundles, the synthesized state machine, a real PostgreSQL.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { startMoto } from '../support/moto.ts'

async function run(command: string, args: string[], env: Record<string, string> = {}): Promise<number> {
  const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...env } })
  const [code] = await once(child, 'exit')
  return code ?? 1
}

const architecture = process.arch === 'arm64' ? 'arm64' : 'x86_64'
const settings = JSON.stringify({ stage: 'rehearsal', connectors: ['postgres'], architecture })
const assembly = 'cdk.out/rehearsal'
const cdk = ['cdk', 'synth', '--quiet', '--output', assembly, '--context', `lakeflow=${settings}`]
process.exitCode = await run('npx', cdk, { CDK_DISABLE_CLI_TELEMETRY: 'true' })
if (process.exitCode === 0) {
  const moto = await startMoto()
  process.exitCode = await run(
    'npx',
    ['jest', ...process.argv.slice(2), '--selectProjects', 'rehearsal', '--runInBand'],
    {
      ...moto.env,
      ASSEMBLY: assembly,
      NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning',
    },
  )
  await moto.stop()
}
