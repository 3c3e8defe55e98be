import type { Clock } from '../../shared/core/clock.ts'
import type { Principal } from '../../shared/push/auth.ts'
import type { IngestBatch, Receipt } from '../../shared/push/batch.ts'
import type { PushLimits } from '../../shared/push/payload.ts'
import type { Window } from '../../shared/push/pressure.ts'
import type { Turn } from '../../shared/push/receive.ts'
import type { PushTable } from '../../shared/push/tables.ts'
import type { StateStore } from '../../shared/state/state-store.ts'
import type { BacklogLimits } from './backlog.ts'
import type { SessionSocket } from './session-socket.ts'

export interface ServerSettings extends BacklogLimits {
  limits: PushLimits
  /** Connections are drained at this age. Default none, as a long timer: API Gateway's is 2 hours. */
  maxConnectionAgeMs: number
  /** A connection that has not opened a session by then is closed. */
  openMs: number
  /** How long a drained producer has to collect its acks. */
  drainMs: number
}

export const defaultSettings: Omit<ServerSettings, 'limits'> = {
  window: { bytes: 4 << 20, records: 200_000 },
  maxConnectionAgeMs: Number.POSITIVE_INFINITY,
  openMs: 15_000,
  drainMs: 10_000,
  // Four sessions of 4 MiB each, undivided, were acknowledged in 496 ms at the p99 of overload; so it is 212 ms.
  inFlightBytes: 8 << 20,
  memoryBytes: 128 << 20,
  backlogBytes: 512 << 20,
}

/** What connections need of the server they belong to. */
export interface PushContext {
  clock: Clock
  state: StateStore
  settings: ServerSettings
  /** @throws IngestError `push.not_permitted` (fix) when there is no such table and it may not be created */
  openTable(name: string, options: { create: boolean }): Promise<PushTable | undefined>
  /** Makes this socket the one of a session; returns how far an earlier one here had come. */
  adopt(socket: SessionSocket, session: string): number
  leave(socket: SessionSocket, principal: Principal): void
  /** Counts bytes against the quota; how long to hold the producer back. */
  charge(principal: Principal, bytes: number): number
  /** `create`: a missing table may be made from this batch. */
  receive(table: string, batch: IngestBatch, options?: { turn?: Turn; create?: boolean }): Promise<Receipt>
  /** What a session may have in flight now. */
  window(): Window
}
