import { createHash } from 'node:crypto'
import type { Captured, Selection } from '../../connector/connector.ts'
import type { SharedLog } from '../../connector/sql/shared-log.ts'
import { IngestError } from '../../core/errors.ts'
import { dialect, relation as quoted } from './dialect.ts'
import type { Relation } from './discover.ts'
import { type Lsn, lsnOf } from './lsn.ts'
import type { Sessions } from './session.ts'
import { slotLog } from './table-log.ts'
import { writersOf } from './writers.ts'

export interface SlotStatus {
  /** Undefined: there is no such slot. */
  confirmed: Lsn | undefined
  /** The server has removed log that the slot needs. */
  lost: boolean
  /** The server's newest place. */
  current: Lsn
  /** Which cluster this is: another one may have a slot of the same name. */
  system: string
  version: number
  /** Which entry of the publication the table is: one that left and came back is another. Undefined: it is not published. */
  published: number | undefined
}

/** How long open transactions that write a table are waited for before it is copied. */
const writersWaitMs = 20_000

/**
 * The publication and slot of one pipeline. All of its tables share them, so the slot moves only as far as every reader
 * of a published table has committed in this connection. PostgreSQL lets one reader at a slot: `exclusive`.
 */
export class Slot {
  readonly name: string
  readonly publication: string
  /** Made by us, so ours to change and to drop. */
  readonly #ours: boolean
  /** What the slot tells, read once for all tables. */
  readonly log: SharedLog
  readonly #sessions: Sessions
  readonly #committed = new Map<string, Lsn>()
  #turn: Promise<void> = Promise.resolve()
  #busy = 0

  constructor(sessions: Sessions, owner: string, config: Selection['slotConfig']) {
    this.#sessions = sessions
    const own = ownName(owner)
    this.#ours = config?.slotName === undefined && config?.publicationName === undefined
    this.name = config?.slotName ?? own
    this.publication = config?.publicationName ?? own
    this.log = slotLog(sessions, this)
  }

  /** Waits for the turn; the returned function gives it back. */
  async exclusive(): Promise<() => void> {
    const before = this.#turn
    let release = () => {}
    this.#turn = new Promise((done) => {
      release = done
    })
    this.#busy++
    await before
    return () => {
      this.#busy--
      release()
    }
  }

  async status(relation: Relation): Promise<SlotStatus> {
    const [row] = await this.#sessions.query<
      Record<'confirmed' | 'status' | 'current' | 'system' | 'published', string | null> & { version: number }
    >(
      'read the replication slot',
      `select s.confirmed_flush_lsn::text as confirmed, s.wal_status as status, current_setting('server_version_num')::int as version,
         (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end)::text as current,
         (select system_identifier from pg_control_system())::text as system,
         (select coalesce((select r.oid from pg_publication_rel r where r.prpubid = p.oid and r.prrelid = $2::oid), p.oid)::int8
            from pg_publication p where p.pubname = $3 and exists (select from pg_publication_tables t
              where t.pubname = p.pubname and t.schemaname = $4 and t.tablename = $5)) as published
       from (select 1) one left join pg_replication_slots s on s.slot_name = $1 and s.database = current_database()`,
      [this.name, relation.oid, this.publication, relation.schema, relation.name],
    )
    return {
      published: row!.published === null ? undefined : Number(row!.published),
      confirmed: row!.confirmed === null ? undefined : lsnOf(row!.confirmed),
      lost: row!.status === 'lost',
      current: lsnOf(row!.current!),
      system: row!.system ?? '',
      version: row!.version,
    }
  }

  /**
   * Publishes a table and makes the slot where they are not there yet. From the place `cutoff` on, every change of the
   * table is in the log; what was committed before it can be read by a query.
   *
   * @throws IngestError `source.object_missing` (fix) when the user's own slot or publication is not there or not whole
   */
  async prepare(relation: Relation, { reader }: Selection): Promise<SlotStatus & { cutoff: Lsn }> {
    this.#committed.delete(readerId({ ...relation, reader }))
    const status = await this.status(relation)
    const publication = await this.#publish(relation, status.version)
    // Decoding looks the publication up as it was at each change: log from before it was made cannot be read.
    const stale = status.lost || (status.confirmed !== undefined && publication === 'created')
    if (stale && !this.#ours)
      throw new IngestError(
        'source.object_missing',
        `the replication slot ${this.name} is lost: drop it and create it anew, select pg_drop_replication_slot('${this.name}'); ${this.#createSlot(status.version)}`,
      )
    if (stale)
      await this.#sessions.write('drop the lost slot', `select pg_drop_replication_slot(${dialect.text(this.name)})`)
    if (stale || status.confirmed === undefined) {
      if (!this.#ours)
        throw new IngestError(
          'source.object_missing',
          `there is no replication slot ${this.name}: ${this.#createSlot(status.version)}`,
        )
      await this.#sessions.write('create a replication slot', this.#createSlot(status.version))
      // Making a slot waits for every open transaction: its place is a clean cut.
      const made = await this.status(relation)
      return { ...made, cutoff: made.confirmed! }
    }
    const ready = await this.status(relation)
    if (await this.#outlastWriters(relation)) return { ...ready, cutoff: ready.current }
    if (publication === 'there') return { ...ready, cutoff: ready.confirmed! }
    throw new IngestError(
      'source.unavailable',
      `a transaction that writes ${relation.schema}.${relation.name} has been open for more than ${writersWaitMs / 1000} s; the copy begins when it ends`,
    )
  }

  /**
   * A reader of the table has committed everything up to here. The slot follows when nobody reads it and all readers of
   * published tables have come so far.
   */
  async committed(relation: Relation, { reader, captured, othersWait }: Selection, lsn: Lsn): Promise<void> {
    this.#committed.set(readerId({ ...relation, reader }), lsn)
    if (this.#busy > 0 || othersWait) return
    const release = await this.exclusive()
    try {
      const published = await this.#published()
      const readers = captured?.filter((table) => published.some((each) => isSame(each, table))) ?? published
      const places = readers.map((each) => this.#committed.get(readerId(each)))
      if (places.length === 0 || places.includes(undefined)) return
      const least = (places as Lsn[]).sort()[0]!
      await this.#sessions.query(
        'advance the replication slot',
        `select pg_replication_slot_advance(slot_name, $2::pg_lsn) from pg_replication_slots
         where slot_name = $1 and not active and confirmed_flush_lsn < $2::pg_lsn`,
        [this.name, least],
      )
    } finally {
      release()
    }
  }

  /** Keeps only these tables; without any, slot and publication go. What the user made is left alone. */
  async release(keep: readonly { schema: string; name: string }[]): Promise<void> {
    if (!this.#ours) return
    const name = dialect.identifier(this.publication)
    const [held] = await this.#sessions.query<{ slot: boolean; publication: boolean }>(
      'read the replication slots',
      `select exists (select from pg_replication_slots where slot_name = $1 and database = current_database()) as slot,
         exists (select from pg_publication where pubname = $2) as publication`,
      [this.name, this.publication],
    )
    if (keep.length === 0) {
      if (held!.slot)
        await this.#sessions.write(
          'drop the replication slot',
          `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = ${dialect.text(this.name)} and database = current_database()`,
        )
      if (held!.publication) await this.#sessions.write('drop the publication', `drop publication if exists ${name}`)
      return
    }
    const gone = (await this.#published()).filter((table) => !keep.some((each) => isSame(each, table)))
    for (const table of gone)
      await this.#sessions.write('change the publication', `alter publication ${name} drop table ${quoted(table)}`)
  }

  #published(): Promise<Named[]> {
    return this.#sessions.query(
      'read the publication',
      'select schemaname as schema, tablename as name from pg_publication_tables where pubname = $1',
      [this.publication],
    )
  }

  async #publish(relation: Relation, version: number): Promise<'created' | 'extended' | 'there'> {
    const [found] = await this.#sessions.query<{ member: boolean; root: boolean }>(
      'read the publication',
      `select pubviaroot as root, exists (select from pg_publication_tables t
         where t.pubname = p.pubname and t.schemaname = $2 and t.tablename = $3) as member from pg_publication p where pubname = $1`,
      [this.publication, relation.schema, relation.name],
    )
    const name = dialect.identifier(this.publication)
    const table = `${relation.kind === 'r' ? 'only ' : ''}${quoted(relation)}`
    if (found?.member && (found.root || relation.kind !== 'p')) return 'there'
    const generated = version >= 180000 ? ', publish_generated_columns = stored' : ''
    const options = `(publish_via_partition_root = true${generated})`
    const statement = !found
      ? `create publication ${name} for table ${table} with ${options}`
      : found.member
        ? `alter publication ${name} set (publish_via_partition_root = true)`
        : `alter publication ${name} add table ${table}`
    if (!this.#ours)
      throw new IngestError(
        'source.object_missing',
        `${relation.schema}.${relation.name} is not published as it must be: ${statement}`,
      )
    try {
      await this.#sessions.write(`publish ${relation.schema}.${relation.name}`, statement)
    } catch (error) {
      if (!(error instanceof IngestError) || error.code !== 'source.permission_denied') throw error
      throw new IngestError(
        'source.permission_denied',
        `${error.message}: only the owner of a table may publish it. Let the owner run: ${statement}; and name it in slot_config`,
        { cause: error },
      )
    }
    return found ? 'extended' : 'created'
  }

  /**
   * Waits for the transactions that are writing the table now. They hold their locks until others see their rows, so
   * afterwards everything committed before the call can be seen. False: they took too long.
   */
  async #outlastWriters(relation: Relation): Promise<boolean> {
    const { clock, signal } = this.#sessions
    const start = clock.now()
    let waitFor = await writersOf(this.#sessions, relation)
    while (waitFor.length > 0) {
      if (clock.now() - start > writersWaitMs) return false
      await clock.sleep(50, signal)
      const now = await writersOf(this.#sessions, relation)
      waitFor = waitFor.filter((writer) => now.includes(writer))
    }
    return true
  }

  #createSlot(version: number): string {
    // A failover slot lives on in a standby that takes over (version 17, with sync_replication_slots there).
    const flags = version >= 170000 ? ', false, false, true' : ''
    return `select pg_create_logical_replication_slot('${this.name}', 'pgoutput'${flags})`
  }
}

/**
 * Slot names are of lower-case letters, digits and underscores, at most 63. What is behind an `@` of the owner is in the
 * hash only, which keeps two owners apart.
 */
function ownName(owner: string): string {
  const slug = owner
    .replace(/@.*/s, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .slice(0, 40)
  return `lakeflow_${slug}_${createHash('sha256').update(owner).digest('hex').slice(0, 8)}`
}

type Named = Pick<Captured, 'schema' | 'name'>

const isSame = (a: Named, b: Named) => a.schema === b.schema && a.name === b.name

const readerId = ({ schema, name, reader }: Named & { reader?: string | undefined }) =>
  JSON.stringify([schema, name, reader])

const slots = new WeakMap<Sessions, Map<string, Slot>>()

/** The one object for a pipeline's slot in this connection. */
export function slotOf(sessions: Sessions, owner: string, config: Selection['slotConfig']): Slot {
  const known = slots.get(sessions) ?? new Map<string, Slot>()
  slots.set(sessions, known)
  const id = JSON.stringify([owner, config?.slotName, config?.publicationName])
  const slot = known.get(id) ?? new Slot(sessions, owner, config)
  known.set(id, slot)
  return slot
}

/** Ends what reads in this connection. */
export async function closeSlots(sessions: Sessions): Promise<void> {
  await Promise.all([...(slots.get(sessions)?.values() ?? [])].map((slot) => slot.log.close()))
}
