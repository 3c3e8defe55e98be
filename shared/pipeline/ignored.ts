import type { z } from 'zod'

/**
 * A field that Databricks has and that means nothing here: accepted, so that a bundle can be pasted in, and answered
 * with a note that says why it does nothing.
 */
export function ignored<T extends z.ZodType>(schema: T, reason: string): z.ZodOptional<T> {
  return schema.optional().meta({ ignored: reason, description: `Accepted, has no effect: ${reason}.` })
}

/** Why a field does nothing, when it is one of those. */
export function ignoredReason(schema: z.ZodType): string | undefined {
  return schema.meta?.()?.ignored as string | undefined
}
