import { compareBytes } from '../core/byte-order.ts'
import { checkSecret, type Secrets } from './secrets.ts'

/** Secrets in memory, gone with the process. */
export function memorySecrets(): Secrets {
  const values = new Map<string, string>()
  return {
    async get(name) {
      checkSecret(name)
      return values.get(name)
    },
    async put(name, value) {
      checkSecret(name, value)
      values.set(name, value)
    },
    list: async () => [...values.keys()].sort(compareBytes),
    async delete(name) {
      checkSecret(name)
      values.delete(name)
    },
  }
}
