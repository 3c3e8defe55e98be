/** `1,234,567`. */
export const count = (value: number) => Math.round(value).toLocaleString('en')

/** `1 row`, `1,234 rows`. */
export const rows = (value: number) => `${count(value)} ${value === 1 ? 'row' : 'rows'}`

/** `12.3 MB`, in powers of 1000. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let [size, unit] = [value, 0]
  while (size >= 1000 && unit < units.length - 1) [size, unit] = [size / 1000, unit + 1]
  return `${unit === 0 ? size : size.toFixed(size < 10 ? 2 : 1)} ${units[unit]}`
}

/** `850 ms`, `12.3 s`, `4 min 5 s`, `2 h 10 min`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1000)} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** `2026-01-31 10:00:00`, UTC. */
export const time = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
