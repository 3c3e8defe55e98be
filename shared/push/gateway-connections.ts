import * as z from 'zod'
import type { StateStore } from '../state/state-store.ts'
import { remember } from './remember.ts'
import { leaveStored } from './stored-quota.ts'
import type { SessionPorts } from './stored-sessions.ts'

const connectionEntry = z.object({
  table: z.string(),
  session: z.string(),
  subject: z.string(),
  /** It may create its table. */
  create: z.boolean(),
  /** The columns it was told; 0 for none. */
  schemaVersion: z.number(),
  /** What was left out of the records before is told by `opened`. */
  from: z.number().default(0),
})

/** A connection of the gateway that has opened a session. */
export type OpenConnection = z.infer<typeof connectionEntry>

/** The open connections, which any process may be handed a message of. */
export interface GatewayConnections {
  /** False when the connection has a session already. */
  open(id: string, opened: OpenConnection): Promise<boolean>
  find(id: string): Promise<OpenConnection | undefined>
  /** In this process only: what the next message of the connection finds here. */
  update(id: string, opened: OpenConnection): void
}

/** A connection lives two hours at most. */
const CONNECTION_TTL_MS = 3 * 3600_000

export function gatewayConnections({ state, clock }: SessionPorts): GatewayConnections {
  const known = new Map<string, OpenConnection>()

  return {
    async open(id, opened) {
      const expiresAtMs = clock.now() + CONNECTION_TTL_MS
      const write = { ...connectionKey(id), value: opened, expect: 'absent' as const, expiresAtMs }
      return (await state.write([write])) !== undefined
    },

    async find(id) {
      const found = known.get(id)
      if (found) return found
      const entry = await state.read(connectionKey(id))
      const opened = entry && connectionEntry.parse(entry.value)
      if (opened) remember(known, id, opened)
      return opened
    },

    update: (id, opened) => remember(known, id, opened),
  }
}

/** Forgets a connection that has ended. */
export async function removeConnection(id: string, state: StateStore): Promise<void> {
  const entry = await state.read(connectionKey(id))
  if (!entry) return
  await leaveStored(connectionEntry.parse(entry.value).subject, id, state)
  await state.write([{ ...connectionKey(id), remove: true, expect: 'any' }])
}

const connectionKey = (id: string) => ({ partition: `push-connection/${id}`, sort: 'session' })
