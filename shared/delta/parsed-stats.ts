/**
 * `stats_parsed` of a log checkpoint as the JSON text of `add.stats`: what a table with
 * `delta.checkpoint.writeStatsAsJson=false` leaves out. Undefined when there is nothing in it.
 */
export function parsedStatsText(parsed: unknown): string | undefined {
  const text = jsonText(parsed)
  return text === '{}' ? undefined : text
}

/** JSON with integers of any size in full; null and absent fields are left out. */
function jsonText(value: unknown): string | undefined {
  if (value == null) return undefined
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Date) return JSON.stringify(dateText(value))
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : undefined
  if (typeof value !== 'object') return JSON.stringify(value)
  // Bounds of binary columns are not in the JSON form.
  if (value instanceof Uint8Array || Array.isArray(value)) return undefined
  const entries = Object.entries(value).flatMap(([name, inner]) => {
    const text = jsonText(inner)
    return text === undefined ? [] : [`${JSON.stringify(name)}:${text}`]
  })
  return `{${entries.join(',')}}`
}

/** A date and an instant at midnight look alike here; both texts are understood as bounds of either type. */
const dateText = (date: Date) => {
  const text = date.toISOString()
  return text.endsWith('T00:00:00.000Z') ? text.slice(0, 10) : text
}
