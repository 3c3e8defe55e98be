import { connect, createServer, type Server, type Socket } from 'node:net'
import { Transform } from 'node:stream'

/** A network between producers and a server: it can be slow, stand still, or break. */
export interface TcpProxy {
  url: string
  /** The server's port; it may change. */
  use(port: number): void
  /** Breaks one connection, or all, in the middle of whatever they do. */
  cut(which: 'one' | 'all'): void
  /** Nothing passes in either direction until `thaw`. */
  freeze(): void
  thaw(): void
  /** Connections made so far. */
  readonly connections: number
  readonly bytesToServer: number
  readonly bytesFromServer: number
  close(): Promise<void>
}

/** `bytesPerSecond` bounds each connection in each direction. */
export async function tcpProxy({ bytesPerSecond = Number.POSITIVE_INFINITY } = {}): Promise<TcpProxy> {
  const open = new Set<Socket>()
  let target = 0
  let connections = 0
  let bytesToServer = 0
  let bytesFromServer = 0
  let frozen: { until: Promise<void>; end: () => void } | undefined

  /** One direction. Small buffers, so that a slow side is felt by the other at once. */
  const passage = (count: (bytes: number) => void) =>
    new Transform({
      highWaterMark: 4096,
      async transform(chunk: Buffer, _, done) {
        await frozen?.until
        if (Number.isFinite(bytesPerSecond))
          await new Promise((resolve) => setTimeout(resolve, (chunk.length / bytesPerSecond) * 1000))
        count(chunk.length)
        done(null, chunk)
      },
    })

  const server: Server = createServer({ highWaterMark: 16 << 10 }, (client) => {
    connections++
    const upstream = connect(target, '127.0.0.1')
    for (const socket of [client, upstream]) {
      open.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        open.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client
      .pipe(
        passage((bytes) => {
          bytesToServer += bytes
        }),
      )
      .pipe(upstream)
    upstream
      .pipe(
        passage((bytes) => {
          bytesFromServer += bytes
        }),
      )
      .pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    use(port) {
      target = port
    },
    cut(which) {
      const sockets = [...open]
      if (which === 'all') for (const socket of sockets) socket.destroy()
      else sockets[Math.floor(Math.random() * sockets.length)]?.destroy()
    },
    freeze() {
      let end = () => {}
      const until = new Promise<void>((resolve) => {
        end = resolve
      })
      frozen ??= { until, end }
    },
    thaw() {
      frozen?.end()
      frozen = undefined
    },
    get connections() {
      return connections
    },
    get bytesToServer() {
      return bytesToServer
    },
    get bytesFromServer() {
      return bytesFromServer
    },
    async close() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
