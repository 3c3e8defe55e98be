/** Room for so many bytes in memory at a time. */
export interface ByteRoom {
  /** Does the work once there is room for the bytes, in the order of asking. What is larger than the whole room gets all of it. */
  within<T>(bytes: number, work: () => Promise<T>): Promise<T>
}

export function byteRoom(maxBytes: number): ByteRoom {
  const waiting: { bytes: number; enter(): void }[] = []
  let used = 0

  function admit() {
    while (waiting[0] && (used === 0 || used + waiting[0].bytes <= maxBytes)) {
      const { bytes, enter } = waiting.shift()!
      used += bytes
      enter()
    }
  }

  return {
    async within(bytes, work) {
      await new Promise<void>((enter) => {
        waiting.push({ bytes, enter })
        admit()
      })
      try {
        return await work()
      } finally {
        used -= bytes
        admit()
      }
    },
  }
}
