import { type StreamOptions, ZerobusSdk } from '../../sdk/index.ts'
import { type Script, scriptedServer } from './scripted-server.ts'

export const quick: StreamOptions = { lingerMs: 1, recoveryBackoffMs: 1, compression: 'none' }
export const ids = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => ({ id: from + i }))
export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** A stream into a server that follows a script. */
export async function streamTo(
  script: Script,
  options: StreamOptions = {},
  token: string | (() => string | Promise<string>) = 't',
) {
  const server = scriptedServer(script)
  const sdk = new ZerobusSdk('http://scripted', { token, webSocket: server.webSocket })
  const stream = await sdk.createStream({ tableName: 'main.events.clicks' }, { ...quick, ...options })
  return { ...server, sdk, stream }
}
