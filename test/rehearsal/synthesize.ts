import { spawnSync } from 'node:child_process'

const assembly = 'cdk.out/rehearsal'

/** Synthesizes the stacks for this machine's processor; returns the assembly's folder. */
export function synthesize(): string {
  const architecture = process.arch === 'arm64' ? 'arm64' : 'x86_64'
  const settings = JSON.stringify({ stage: 'rehearsal', connectors: ['postgres'], architecture })
  const { status } = spawnSync(
    'npx',
    ['cdk', 'synth', '--quiet', '--output', assembly, '--context', `lakeflow=${settings}`],
    { stdio: ['ignore', 2, 2], env: { ...process.env, CDK_DISABLE_CLI_TELEMETRY: 'true' } },
  )
  if (status !== 0) throw new Error('the stacks cannot be synthesized')
  return assembly
}
