import * as z from 'zod'
import { IngestError } from '../core/errors.ts'

/**
 * The environment of a function, checked once at its cold start. The construct that sets it and the handler that reads it
 * share the schema.
 *
 * @throws IngestError `config.invalid` (fix) that names every missing or wrong variable
 */
export function readEnv<T>(schema: z.ZodType<T>, env: Readonly<Record<string, string | undefined>>): T {
  const result = schema.safeParse(env)
  if (result.success) return result.data
  throw new IngestError('config.invalid', `the function's environment is not valid: ${z.prettifyError(result.error)}`)
}
