/**
 * `npm run rehearse [-- jest arguments]`: synthesizes the stacks for this machine's processor, starts an emulated
 * account, and runs the Jest project `rehearsal` in it: real bundles, the synthesized state machine, a real PostgreSQL.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { startMoto } from '../support/moto.ts'
import { synthesize } from './synthesize.ts'

const assembly = synthesize()
const moto = await startMoto()
const jest = spawn('npx', ['jest', ...process.argv.slice(2), '--selectProjects', 'rehearsal', '--runInBand'], {
  stdio: 'inherit',
  env: {
    ...process.env,
    ...moto.env,
    ASSEMBLY: assembly,
    NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning',
  },
})
const [code] = await once(jest, 'exit')
await moto.stop()
process.exitCode = code ?? 1
