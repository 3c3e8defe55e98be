const unitMs: Readonly<Record<string, number>> = {
  microsecond: 0.001,
  millisecond: 1,
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
  week: 604_800_000,
}

/** A table property such as `interval 7 days` or `interval 1 day 12 hours` in milliseconds; `fallbackMs` when it is none. */
export function intervalMs(text: string | undefined, fallbackMs: number): number {
  const parts = [...(text ?? '').toLowerCase().matchAll(/(\d+)\s+([a-z]+?)s?(?=\s|$)/g)]
  const total = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (unitMs[unit!] ?? Number.NaN), 0)
  return parts.length === 0 || Number.isNaN(total) ? fallbackMs : total
}
