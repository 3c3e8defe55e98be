/** `npm run test:aws [-- jest arguments]`: starts an emulated account, runs the Jest project `aws` in it, stops it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { startMoto } from '../support/moto.ts'

const moto = await startMoto()
const jest = spawn('npx', ['jest', ...process.argv.slice(2), '--selectProjects', 'aws'], {
  stdio: 'inherit',
  env: {
    ...process.env,
    ...moto.env,
    NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning',
  },
})
const [code] = await once(jest, 'exit')
await moto.stop()
process.exitCode = code ?? 1
