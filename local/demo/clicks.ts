import { ZerobusSdk, type ZerobusStream } from '../../sdk/index.ts'
import { systemClock } from '../../shared/core/clock.ts'

export const CLICKS = 'main.events.clicks'

export interface Clicks {
  readonly perSecond: number
  readonly sent: number
  /** On disk at the server, so safe. */
  readonly acknowledged: number
  /** In the table, so queryable. */
  readonly committed: number
  /** Sends no more; resolves when every click is acknowledged. */
  stop(): Promise<void>
}

const PER_SECOND = 300
const TICK_MS = 100

const pages = ['/', '/search', '/lamp', '/caf\u00e9-cr\u00e8me', '/\u5bff\u53f8', '/cart', '/checkout']
const referrers = [null, 'https://search.example.com/?q=lamp', 'newsletter', null]

/**
 * A producer of clicks that goes on until it is stopped. A failure it cannot recover from is told once; `stop` then rejects
 * with what was not acknowledged.
 *
 * @throws ZerobusError when there is no server
 */
export async function sendClicks(url: string, token: string, onFailure: (error: unknown) => void): Promise<Clicks> {
  let sent = 0
  let acknowledged = 0
  let committed = 0
  const stream = await new ZerobusSdk(url, { token }).createStream(
    { tableName: CLICKS },
    {
      onAck: (offset) => {
        acknowledged = Number(offset) + 1
      },
      onCommit: (offset) => {
        committed = Number(offset) + 1
      },
    },
  )
  const end = new AbortController()
  const sending = keepSending(stream, end.signal, (clicks) => {
    sent += clicks
  }).catch(onFailure)

  return {
    perSecond: PER_SECOND,
    get sent() {
      return sent
    },
    get acknowledged() {
      return acknowledged
    },
    get committed() {
      return committed
    },
    async stop() {
      end.abort()
      await sending
      await stream.close()
    },
  }
}

async function keepSending(stream: ZerobusStream, signal: AbortSignal, onSent: (clicks: number) => void) {
  for (let lastMs = systemClock.now(); !signal.aborted; ) {
    // As many as the clock says, for ticks come late; but after the sleep of a laptop not those of the night.
    const now = systemClock.now()
    const due = Math.round((Math.min(now - lastMs, 1000) * PER_SECOND) / 1000)
    lastMs = now
    await stream.ingestRecordsOffset(Array.from({ length: due }, newClick))
    onSent(due)
    await systemClock.sleep(TICK_MS, signal).catch(() => {})
  }
}

function newClick() {
  const any = <T>(values: readonly T[]) => values[Math.floor(Math.random() * values.length)]
  return {
    clicked_at: new Date(systemClock.now()).toISOString(),
    visitor: `v${Math.floor(Math.random() * 5000)}`,
    page: any(pages),
    referrer: any(referrers),
    loaded_ms: Math.floor(20 + Math.random() * 400),
  }
}
