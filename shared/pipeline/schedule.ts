import { IngestError } from '../core/errors.ts'
import { type Cron, parseCron } from './cron.ts'
import type { PipelineSpec } from './spec.ts'

/** When a pipeline runs by itself. */
export interface Schedule {
  /** For people: `every 5 minutes`, `cron 0 0 6 * * ? (Europe/Berlin)`. */
  text: string
  /**
   * The next time after `afterMs`, in milliseconds since the epoch; undefined when there is none. A period counts from
   * the last start, and is due at once when there was none.
   */
  next(afterMs: number, lastStartMs: number | undefined): number | undefined
  /** The next time after a run that ended at `afterMs`: what came due while it ran is skipped. */
  following(afterMs: number, lastStartMs: number): number | undefined
}

const UNIT_MS = { SECONDS: 1000, MINUTES: 60_000, HOURS: 3_600_000, DAYS: 86_400_000, WEEKS: 604_800_000 }

/**
 * Undefined: only when asked, or paused.
 *
 * @throws IngestError `config.invalid` (fix) for an expression or time zone that is not understood
 */
export function scheduleOf(pipeline: PipelineSpec): Schedule | undefined {
  const { schedule, trigger } = pipeline
  if (schedule?.pause_status === 'PAUSED' || trigger?.pause_status === 'PAUSED') return undefined
  if (schedule) return cronSchedule(schedule.quartz_cron_expression, schedule.timezone_id)
  if (trigger?.cron) return cronSchedule(trigger.cron.quartz_cron_schedule, trigger.cron.timezone_id)
  if (!trigger?.periodic) return undefined
  const { interval, unit } = trigger.periodic
  const periodMs = interval * UNIT_MS[unit]
  const words = unit.toLowerCase()
  return {
    text: interval === 1 ? `every ${words.slice(0, -1)}` : `every ${interval} ${words}`,
    next: (afterMs, lastStartMs) => (lastStartMs === undefined ? afterMs : Math.max(afterMs, lastStartMs + periodMs)),
    following: (afterMs, lastStartMs) =>
      lastStartMs + Math.max(1, Math.floor((afterMs - lastStartMs) / periodMs) + 1) * periodMs,
  }
}

function cronSchedule(expression: string, zone = 'UTC'): Schedule {
  const cron = parseCron(expression)
  const toLocal = localClock(zone)
  const next = (afterMs: number) => nextCron(cron, toLocal, afterMs)
  return { text: `cron ${expression} (${zone})`, next, following: next }
}

/** Longer than the eight years between two leap days around a century without one. */
const MAX_DAYS = 366 * 12
const DAY_MS = 86_400_000

/** Times that a change of clocks skips do not come; of those it repeats, the first does. */
function nextCron(cron: Cron, toLocal: (ms: number) => number, afterMs: number): number | undefined {
  const firstDay = Math.floor(toLocal(afterMs) / DAY_MS) * DAY_MS
  for (let day = 0; day < MAX_DAYS; day++) {
    const midnight = firstDay + day * DAY_MS
    const date = new Date(midnight)
    if (!cron.allowsDate(date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCDay())) continue
    const found = nextOfDay(cron, toLocal, midnight, afterMs)
    if (found !== undefined) return found
  }
  return undefined
}

function nextOfDay(cron: Cron, toLocal: (ms: number) => number, midnight: number, afterMs: number) {
  for (const hour of cron.hours)
    for (const minute of cron.minutes) {
      const local = midnight + hour * 3_600_000 + minute * 60_000
      const instant = fromLocal(toLocal, local)
      if (instant === undefined || instant + 60_000 <= afterMs) continue
      for (const second of cron.seconds) if (instant + second * 1000 > afterMs) return instant + second * 1000
    }
  return undefined
}

/** The instant a wall clock shows `local`, the earlier of two; undefined when it never does. */
function fromLocal(toLocal: (ms: number) => number, local: number): number | undefined {
  const offsets = [-DAY_MS, DAY_MS].map((shift) => toLocal(local + shift) - (local + shift))
  const instants = offsets.map((offset) => local - offset).filter((instant) => toLocal(instant) === local)
  return instants.length > 0 ? Math.min(...instants) : undefined
}

/** An instant as the wall clock of a zone shows it, as milliseconds that UTC would show the same way. */
export function localClock(zone: string): (ms: number) => number {
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en', {
      timeZone: zone,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  } catch (cause) {
    throw new IngestError('config.invalid', `there is no time zone ${zone}; write a name like Europe/Berlin`, { cause })
  }
  return (ms) => {
    const part = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]))
    const time = [part.year, part.month, part.day, part.hour, part.minute, part.second].map(Number)
    return Date.UTC(time[0]!, time[1]! - 1, time[2], time[3], time[4], time[5])
  }
}
