/** Of each kind, in one process. */
const MAX_REMEMBERED = 10_000

/** The oldest are forgotten first: what is remembered is in the state store too. */
export function remember<T>(known: Map<string, T>, key: string, value: T) {
  known.delete(key)
  known.set(key, value)
  if (known.size > MAX_REMEMBERED) known.delete(known.keys().next().value!)
}
