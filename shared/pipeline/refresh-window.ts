import type { IngestionDefinition } from './ingestion-definition.ts'
import { localClock } from './schedule.ts'

/** The hour in which full refreshes may begin, on some days of the week or on all. */
export interface RefreshWindow {
  startHour: number
  /** 0 is Sunday. */
  days: readonly number[]
  zone: string
}

const DAYS = ['SUNDAY', 'MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY'] as const
const EVERY_DAY = DAYS.map((_, day) => day)

/** @throws IngestError `config.invalid` (fix) for a time zone that does not exist */
export function refreshWindowOf(window: IngestionDefinition['full_refresh_window']): RefreshWindow | undefined {
  if (!window) return undefined
  const { start_hour, days_of_week, time_zone_id = 'UTC' } = window
  localClock(time_zone_id)
  const days = days_of_week?.length ? days_of_week.map((day) => DAYS.indexOf(day)) : EVERY_DAY
  return { startHour: start_hour, days, zone: time_zone_id }
}

export function isOpen(window: RefreshWindow, nowMs: number): boolean {
  const local = new Date(localClock(window.zone)(nowMs))
  return local.getUTCHours() === window.startHour && window.days.includes(local.getUTCDay())
}

/** Zones differ by quarters of an hour at the finest. */
const QUARTER_MS = 900_000
/** An hour that a change of clocks skips comes again a week later. */
const WEEKS_MS = 15 * 86_400_000

/** When the window opens next, in milliseconds since the epoch; now when it is open. */
export function opensAt(window: RefreshWindow, nowMs: number): number {
  if (isOpen(window, nowMs)) return nowMs
  const first = Math.ceil(nowMs / QUARTER_MS) * QUARTER_MS
  for (let at = first; at < first + WEEKS_MS; at += QUARTER_MS) if (isOpen(window, at)) return at
  return first + WEEKS_MS
}
