import * as z from 'zod'
import { type Principal, pushActions } from '../shared/push/auth.ts'

const Authorizer = z.object({ principal: z.string() })

const PrincipalText = z.object({
  subject: z.string(),
  grants: z.array(z.object({ tables: z.array(z.string()), actions: z.array(z.enum(pushActions)) })),
  quota: z.object({ bytesPerSecond: z.number().optional(), sessions: z.number().optional() }),
  expiresAtMs: z.number().optional(),
})

/** Who the authorizer said this is: it hands texts only to the functions behind it. */
export function readPrincipal(authorizer: unknown): Principal {
  return PrincipalText.parse(JSON.parse(Authorizer.parse(authorizer).principal)) as Principal
}
