import * as z from 'zod'
import type {
  ChangeStream,
  Connector,
  Selection,
  SnapshotStream,
  SourceTable,
} from '../../shared/connector/connector.ts'
import { type Change, checkpoint, type Message, type Row, remove, upsert } from '../../shared/core/change.ts'
import { IngestError } from '../../shared/core/errors.ts'
import type { Json } from '../../shared/core/json.ts'
import type { Schema } from '../../shared/schema/types.ts'

/** One source table kept as a history of transactions; number n of the history is its position n. */
export interface ScriptedTable {
  schema: Schema
  key: readonly string[]
  history: Change[][]
  /** A column that every change has, deletes too. Changes may then come late or again: the highest is what the source holds. */
  sequence?: string
}

/**
 * A whole source in memory, read through the real connector contract: `history` is what happened, in order. A test
 * changes it at any time, also while it is read.
 */
export class ScriptedSource {
  readonly tables = new Map<string, ScriptedTable>()
  /** Called before each message; throws or waits to inject what a network would do. */
  beforeMessage: (stream: string, message: Message<Json>) => void | Promise<void> = () => {}
  /** Pieces a full copy is split into, and rows after which a piece has a checkpoint. */
  pieces = 3
  rowsPerCheckpoint = 4
  /** Positions at or before this are forgotten: reading from there is `source.position_lost`. */
  forgottenUpTo = -1
  /** Pieces read so far, by what they covered. */
  readonly read: string[] = []
  readonly acknowledged: Json[] = []
  /** Where the last copy began, and the rows it told by their key; of what is read anew after a crash, the last reading. */
  cutoff = 0
  readonly copied = new Map<string, Row>()

  table(name: string, schema: Schema, key: readonly string[] = ['id']): ScriptedTable {
    const table = { schema, key, history: [] }
    this.tables.set(name, table)
    return table
  }

  /** The rows that are there now, with the position that wrote each. */
  static rows({ key, history, sequence }: ScriptedTable): Map<string, { row: Row; at: number }> {
    const rows = new Map<string, { row: Row; at: number }>()
    const newest = new Map<string, unknown>()
    history.forEach((transaction, index) => {
      for (const change of transaction) {
        const told = change.op === 'upsert' ? change.row : change.key
        const id = keyText(told, key)
        if (sequence !== undefined) {
          if (newest.has(id) && Number(newest.get(id)) >= Number(told[sequence])) continue
          newest.set(id, told[sequence])
        }
        if (change.op === 'delete') rows.delete(id)
        else rows.set(id, { row: { ...rows.get(id)?.row, ...change.row }, at: index + 1 })
      }
    })
    return rows
  }
}

const keyText = (row: Row, key: readonly string[]) => JSON.stringify(key.map((name) => String(row[name])))

/** The connector of scripted sources. Modes: `cdc`, `query` (rows written after a position; no deletes), `snapshot`. */
export const scripted: Connector<ScriptedSource, { source: ScriptedSource; signal: AbortSignal }> = {
  name: 'scripted',
  title: 'Scripted source of the tests',
  about: {
    auth: 'none',
    objects: 'tables',
    modes: ['cdc', 'query', 'snapshot'],
    position: 'number of a transaction',
    snapshot: 'in memory',
    changes: 'in memory',
    deletes: 'in memory',
    historyLoss: 'by `forgottenUpTo`',
    limits: 'none',
    tested: 'itself',
  },
  config: z.instanceof(ScriptedSource),
  connect: async (source, { signal }) => ({ source, signal }),
  close: async () => {},
  check: async () => [],
  discover: async ({ source }) => [...source.tables].map(([name, table]) => describe(name, table)),
  async open({ source, signal }, { name }, selection) {
    const table = source.tables.get(name)
    if (!table) throw new IngestError('source.object_missing', `there is no table ${name}`)
    return openScripted(source, name, table, selection, signal)
  },
}

export function describe(name: string, { schema, key }: ScriptedTable): SourceTable {
  return { schema: 'src', name, columns: schema, key, cursorCandidates: [], modes: ['cdc', 'query', 'snapshot'] }
}

function openScripted(
  source: ScriptedSource,
  name: string,
  table: ScriptedTable,
  selection: Selection,
  signal: AbortSignal,
): ChangeStream | SnapshotStream {
  const fields = selection.columns.map((column) => table.schema.fields.find((field) => field.name === column)!)
  const pick = (row: Row): Row => Object.fromEntries(fields.map((field) => [field.name, row[field.name] ?? null]))
  const base = { name: `src.${name}`, schema: { fields }, key: table.key }

  async function* told(messages: Iterable<Message<Json>>): AsyncIterable<Message<Json>> {
    for (const message of messages) {
      await source.beforeMessage(name, message)
      if (signal.aborted) return
      yield message
    }
  }

  /** Rows of one piece after a key, each `rowsPerCheckpoint` with what is left; `upTo` hides younger rows. */
  function* pieceRows(piece: Piece, upTo: number): Iterable<Message<Json>> {
    const mine = [...ScriptedSource.rows(table)]
      .filter(
        ([id, { at }]) => at <= upTo && pieceOf(id, piece.of) === piece.n && (piece.after === null || id > piece.after),
      )
      .sort(([a], [b]) => (a < b ? -1 : 1))
    let rows = 0
    for (const id of source.copied.keys())
      if (pieceOf(id, piece.of) === piece.n && (piece.after === null || id > piece.after)) source.copied.delete(id)
    for (const [id, { row }] of mine) {
      source.read.push(`${name} ${id}`)
      source.copied.set(id, pick(row))
      yield upsert(pick(row))
      if (++rows % source.rowsPerCheckpoint === 0) yield checkpoint<Json>({ ...piece, after: id })
    }
  }

  const keyOnly = ({ row }: { row: Row }) => upsert(Object.fromEntries(table.key.map((name) => [name, row[name]])))
  const split = async () => Array.from({ length: source.pieces }, (_, n) => ({ n, of: source.pieces, after: null }))
  if (selection.mode === 'snapshot')
    return { ...base, kind: 'snapshot', split, read: (piece) => told(pieceRows(piece as unknown as Piece, Infinity)) }
  return {
    ...base,
    kind: 'changes',
    head: async () => {
      source.copied.clear()
      source.cutoff = table.history.length
      return source.cutoff
    },
    split,
    backfill: (piece, cutoff) =>
      told(pieceRows(piece as unknown as Piece, selection.mode === 'query' ? (cutoff as number) : Infinity)),
    changes: (after) => told(changesAfter(source, table, after as number, pick, selection.mode !== 'query')),
    ...(selection.mode === 'query' && { keys: () => told([...ScriptedSource.rows(table).values()].map(keyOnly)) }),
    acknowledge: async (cursor) => void source.acknowledged.push(cursor),
  }
}

interface Piece {
  n: number
  of: number
  after: string | null
}

function* changesAfter(
  source: ScriptedSource,
  table: ScriptedTable,
  after: number,
  pick: (row: Row) => Row,
  tellsDeletes: boolean,
): Iterable<Message<Json>> {
  if (after <= source.forgottenUpTo)
    throw new IngestError('source.position_lost', `changes up to ${source.forgottenUpTo} are gone, wanted ${after}`)
  for (let at = after; at < table.history.length; at++) {
    for (const change of table.history[at]!.filter((each) => tellsDeletes || each.op === 'upsert'))
      yield change.op === 'upsert'
        ? { ...upsert(pick(change.row)), ...(change.absent && { absent: change.absent }) }
        : remove(change.key)
    yield checkpoint<Json>(at + 1)
  }
}

function pieceOf(id: string, pieces: number): number {
  let hash = 0
  for (let i = 0; i < id.length; i++) hash = (Math.imul(hash, 31) + id.charCodeAt(i)) >>> 0
  return hash % pieces
}
