import * as z from 'zod'
import { HttpClient } from '../../connector/http/client.ts'
import { fetchFor } from '../../connector/http/options.ts'
import { Tokens } from '../../connector/http/tokens.ts'
import type { Clock } from '../../core/clock.ts'
import { IngestError } from '../../core/errors.ts'
import { systemRandom } from '../../core/random.ts'
import { askToken, type OrgToken } from './auth.ts'
import type { SalesforceConfig } from './config.ts'
import { expired, translate } from './errors.ts'

/** One connected org: requests below its API version, its quota and its clock. */
export class Org {
  readonly config: SalesforceConfig
  readonly client: HttpClient<OrgToken>
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly jobSlots: Slots
  readonly tokens: Tokens<OrgToken>
  /** API calls of the last 24 hours and how many there may be, as the org told last. */
  usage: { used: number; allowed: number } | undefined
  /** A warning that the org sent with an answer, such as of the retirement of the API version. */
  warning: string | undefined
  #skewMs = 0

  constructor(config: SalesforceConfig, { clock, signal }: { clock: Clock; signal: AbortSignal }) {
    this.config = config
    this.clock = clock
    this.signal = signal
    this.jobSlots = new Slots(config.max_bulk_jobs)
    const secrets = [config.client_secret, config.private_key, config.refresh_token].filter(
      (text) => text !== undefined,
    )
    this.tokens = new Tokens(() => askToken(config, clock, this.client))
    this.client = new HttpClient({
      clock,
      random: systemRandom,
      signal,
      tokens: this.tokens,
      fetch: fetchFor(config, secrets),
      timeoutMs: config.timeout_seconds * 1000,
      ...(config.max_requests !== undefined && { requests: config.max_requests }),
      headers: (token) => (token ? { authorization: `Bearer ${token.value}` } : {}),
      address: (path, token) => (path.startsWith('/') ? `${token!.instanceUrl}${path}` : path),
      translate,
      expired,
      answered: (response) => this.#answered(response),
    })
  }

  /** A path below the pinned API version. */
  path(rest: string): string {
    return `/services/data/v${this.config.api_version}${rest}`
  }

  /** The newest second that is over on the org's own clock, in milliseconds. */
  async finishedSecond(): Promise<number> {
    await this.versions()
    return Math.floor((this.clock.now() + this.#skewMs) / 1000) * 1000 - 1000
  }

  /** API versions that the org has, oldest first. */
  async versions(): Promise<number[]> {
    const request = { doing: 'read the API versions', path: '/services/data' }
    const versions = await this.client.json(request, z.array(z.looseObject({ version: z.string() })))
    return versions.map(({ version }) => Number(version)).sort((a, b) => a - b)
  }

  #answered({ headers }: Response): void {
    const date = Date.parse(headers.get('date') ?? '')
    if (!Number.isNaN(date)) this.#skewMs = date - this.clock.now()
    this.warning = headers.get('warning') ?? this.warning
    const [, used, allowed] = /api-usage=(\d+)\/(\d+)/.exec(headers.get('sforce-limit-info') ?? '') ?? []
    if (allowed === undefined) return
    this.usage = { used: Number(used), allowed: Number(allowed) }
    const most = Math.floor(this.usage.allowed * this.config.max_api_usage)
    if (this.usage.used > most)
      throw new IngestError(
        'source.quota_spent',
        `the org has used ${used} of its ${allowed} API calls of 24 hours, and this connection stops at ${most} (max_api_usage)`,
      )
  }
}

/** At most so many at the same time; the others wait their turn. */
export class Slots {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async take(): Promise<() => void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((turn) => this.#waiting.push(turn))
    let held = true
    return () => {
      if (!held) return
      held = false
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }
}
