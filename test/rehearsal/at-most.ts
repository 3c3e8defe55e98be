/** Calls wait when so many run, as this machine has few cores; Lambda would start as many environments. */
export function atMost<T>(limit: number, work: (event: unknown) => Promise<T>): (event: unknown) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (event) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve))
    running++
    try {
      return await work(event)
    } finally {
      running--
      waiting.shift()?.()
    }
  }
}
