import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { installPackages } from '../support/debian.ts'

/** One page of a real Chromium without a window. */
export interface ChromiumPage {
  version: string
  /** The value of an expression, awaited; it must be JSON. Throws what the page throws. */
  evaluate(expression: string): Promise<unknown>
  close(): Promise<void>
}

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-port=0',
]

/** Starts Chromium on a page of this address; installs Debian's when there is none. */
export async function openChromium(address: string): Promise<ChromiumPage> {
  const profile = await mkdtemp(join(tmpdir(), 'chromium-'))
  const chromium = spawn(findChromium(), [...flags, `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const gone = new Promise<void>((resolve) => chromium.once('exit', () => resolve()))
  const devTools = await connectDevTools(await devToolsUrl(chromium))
  const { product } = await devTools.ask<{ product: string }>('Browser.getVersion', {})
  const { targetId } = await devTools.ask<{ targetId: string }>('Target.createTarget', { url: 'about:blank' })
  const { sessionId } = await devTools.ask<{ sessionId: string }>('Target.attachToTarget', { targetId, flatten: true })
  await devTools.ask('Page.enable', {}, sessionId)
  // Until the page has loaded, an expression would run in the blank one.
  const loaded = devTools.event('Page.loadEventFired', sessionId)
  await devTools.ask('Page.navigate', { url: address }, sessionId)
  await loaded

  return {
    version: product,
    async evaluate(expression) {
      const params = { expression, awaitPromise: true, returnByValue: true }
      const { result, exceptionDetails } = await devTools.ask<Evaluated>('Runtime.evaluate', params, sessionId)
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
      return result.value
    },
    async close() {
      devTools.close()
      chromium.kill('SIGKILL')
      await gone
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

interface Evaluated {
  result: { value: unknown }
  exceptionDetails?: { text: string; exception?: { description?: string } }
}

function findChromium(): string {
  const found = installed()
  if (found) return found
  installPackages('chromium')
  const fresh = installed()
  if (fresh) return fresh
  throw new Error('chromium was installed, but it is not in PATH; set CHROMIUM to its path')
}

function installed(): string | undefined {
  if (process.env.CHROMIUM) return process.env.CHROMIUM
  const folders = (process.env.PATH ?? '').split(delimiter)
  const names = ['chromium', 'chromium-browser', 'google-chrome']
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Chromium tells the address on its error output, among much else. */
async function devToolsUrl(chromium: ChildProcess): Promise<string> {
  const said: string[] = []
  for await (const line of createInterface({ input: chromium.stderr! })) {
    const url = /^DevTools listening on (ws:.*)$/.exec(line)?.[1]
    if (url) {
      chromium.stderr!.resume()
      return url
    }
    said.push(line)
  }
  throw new Error(`Chromium did not start: ${said.slice(-20).join('\n')}`)
}

/** The Chrome DevTools protocol as far as it is needed: requests and their answers, and one event at a time. */
async function connectDevTools(url: string) {
  const socket = new WebSocket(url)
  const waiting = new Map<number | string, { resolve(value: unknown): void; reject(error: Error): void }>()
  let next = 1
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve()
    socket.onerror = () => reject(new Error(`the DevTools of Chromium do not answer at ${url}`))
  })
  socket.onmessage = ({ data }) => {
    const { id, result, error, method, sessionId } = JSON.parse(String(data))
    const key = id ?? `${method} ${sessionId}`
    if (error) waiting.get(key)?.reject(new Error(error.message))
    else waiting.get(key)?.resolve(result)
    waiting.delete(key)
  }
  socket.onclose = () => {
    for (const { reject } of waiting.values()) reject(new Error('Chromium ended'))
  }
  return {
    ask<T>(method: string, params: object, sessionId?: string): Promise<T> {
      const id = next++
      socket.send(JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) }))
      return new Promise((resolve, reject) => waiting.set(id, { resolve: resolve as (value: unknown) => void, reject }))
    },
    /** The next event of this name. */
    event: (method: string, sessionId: string) =>
      new Promise((resolve, reject) => waiting.set(`${method} ${sessionId}`, { resolve, reject })),
    close: () => socket.close(),
  }
}
