#!/usr/bin/env node
// Plain JavaScript: called by its path, or linked, this runs on whatever Node the machine has, which may not know TypeScript.
// npm scripts and npx run it on the pinned Node right away.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const main = new URL('./main.ts', import.meta.url)
const args = process.argv.slice(2)
// V8 takes it only when a process begins (decision 0025).
const flags = args.includes('start') ? ['--max-semi-space-size=8'] : []
const command = [...flags, fileURLToPath(main), ...args]
const knowsTypeScript = Number(process.versions.node.split('.')[0]) >= 24
const mayBeReplaced = process.execve && process.platform !== 'win32' && !process.channel

if (knowsTypeScript && flags.length > 0 && mayBeReplaced)
  process.execve(process.execPath, [process.execPath, ...process.execArgv, ...command])
else if (knowsTypeScript) await import(main.href)
else {
  const pinned = createRequire(import.meta.url).resolve('node/bin/node')
  const child = spawn(pinned, command, { stdio: 'inherit' })
  // A terminal sends Ctrl-C to both; what is sent to this process alone is passed on. The child decides when it ends.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('exit', (code, signal) => {
    process.exitCode = signal ? 1 : code
  })
}
