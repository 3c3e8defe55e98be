import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** Starts a script of test/ as its own process; its standard output is piped, its errors are ours. */
export function startChild(script: string, ...args: string[]): ChildProcess {
  return spawn(process.execPath, [join(import.meta.dirname, '..', script), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '--disable-warning=ExperimentalWarning' },
  })
}

/** Runs a script to its end and returns what it printed, as JSON. */
export async function runChild<T>(script: string, ...args: string[]): Promise<T> {
  const child = startChild(script, ...args)
  const [output] = await Promise.all([text(child.stdout!), once(child, 'exit')])
  if (child.exitCode !== 0) throw new Error(`${script} ended with ${child.exitCode ?? child.signalCode}: ${output}`)
  return JSON.parse(output)
}

/** Runs a script by way of a line of sh, in which `exec "$0" "$@"` starts it. Returns its exit code and what it printed. */
export async function runShell(line: string, script: string, ...args: string[]) {
  const command = [process.execPath, join(import.meta.dirname, '..', script), ...args]
  const child = spawn('sh', ['-c', line, ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '--disable-warning=ExperimentalWarning' },
  })
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')])
  return { code: child.exitCode, output }
}
