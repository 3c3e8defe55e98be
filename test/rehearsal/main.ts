/**
 * `npm run rehearse [-- parts of file names]`: synthesizes the stacks for this machine's processor, starts an emulated
 * account, and runs the Jest project `rehearsal` in it: real bundles, the synthesized state machine, a real PostgreSQL.
 * `MEGABYTES=1000 npm run rehearse -- push` pushes a gigabyte.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { startMoto } from '../support/moto.ts'
import { synthesize } from './synthesize.ts'

const patterns = process.argv.slice(2).flatMap((part) => ['--testPathPatterns', part])
const assembly = synthesize()
const moto = await startMoto()
const jest = spawn('npx', ['jest', '--selectProjects', 'rehearsal', '--runInBand', ...patterns], {
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
