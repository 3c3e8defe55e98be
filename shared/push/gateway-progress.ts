import type { RecordRejection } from './frames.ts'
import type { OpenConnection } from './gateway-connections.ts'
import { noteBatch, type Progress, progressOf } from './noted-batches.ts'
import { remember } from './remember.ts'
import { rejectionsOf } from './stored-rejections.ts'
import type { SessionPorts } from './stored-sessions.ts'

/** Of records left out: with them a message is below the 128 KB of API Gateway. */
const MAX_TOLD_RANGES = 2000

/** How far a session is, as an answer says it: with the records left out of what that covers. */
export interface ToldProgress {
  durable: number
  committed: number
  rejectedRanges?: [number, number][]
  rejected?: RecordRejection[]
}

/** How far sessions are, and what of it their connections were told by this process. */
export interface GatewayProgress {
  /** For one who resumes a session and says that the records below `held` were acknowledged. */
  resume(table: string, session: string, held: number): Promise<ToldProgress>
  /**
   * For the answer to a message. A batch may be covered by the answer to another one before its own, so any process says this of
   * any batch that its connection may not have heard of: those from `heard` on.
   */
  tell(connection: string, opened: OpenConnection, heard?: number): Promise<ToldProgress>
}

export function gatewayProgress(ports: SessionPorts): GatewayProgress {
  /** What is known to be committed, by session. */
  const committed = new Map<string, number>()
  /**
   * Up to where a connection was told by this process that records are durable, and which of them were left out; and below
   * which no batch has to be looked at again for that.
   */
  const told = new Map<string, { durable: number; read: number }>()

  /** Covers no more than can be named in one message. */
  async function withLeftOut(session: string, from: number, progress: Progress): Promise<ToldProgress> {
    const { durable, committed, rejects } = progress
    if (!rejects) return { durable, committed }
    const { rejectedRanges = [], rejected = [] } = await rejectionsOf(session, from, durable, ports)
    const covered = rejectedRanges[MAX_TOLD_RANGES]?.[0] ?? durable
    if (rejectedRanges.length === 0) return { durable, committed }
    return {
      durable: covered,
      committed: Math.min(committed, covered),
      rejectedRanges: rejectedRanges.slice(0, MAX_TOLD_RANGES),
      rejected: rejected.filter(({ offset }) => offset < covered),
    }
  }

  return {
    async resume(table, session, held) {
      const known = await progressOf(table, session, ports.state)
      // Acknowledged by a server that noted it elsewhere: from here on it counts as noted here.
      if (held > known.durable) await noteBatch(session, { from: known.durable, to: held, rejected: false }, ports)
      return withLeftOut(session, held, { ...known, durable: Math.max(known.durable, held) })
    },

    async tell(connection, { table, session, from }, heard = 0) {
      const before = told.get(connection)
      const known = await progressOf(table, session, ports.state, before?.read ?? committed.get(session))
      remember(committed, session, known.committed)
      const answer = await withLeftOut(session, before?.durable ?? Math.max(from, heard), known)
      // One that covers a batch in part is not the last to look at that batch.
      const read = answer.durable === known.durable ? known.durable : (before?.read ?? known.committed)
      remember(told, connection, { durable: answer.durable, read })
      return answer
    },
  }
}
