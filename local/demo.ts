import { runCommand } from './command-line.ts'
import { demo } from './demo/demo.ts'

process.exitCode = await runCommand(demo, process.argv.slice(2))
