/** What is done when a source is not as its table knows it. */
export type DriftAction = 'evolve' | 'freeze' | 'discard_row' | 'discard_value'

export interface DriftPolicy {
  tables: DriftAction
  columns: DriftAction
  dataType: DriftAction
  /** A new column is filled for the rows that were there. */
  backfill: boolean
}

export const EVOLVE: DriftPolicy = { tables: 'evolve', columns: 'evolve', dataType: 'evolve', backfill: false }

/** One difference between a source and its table, for the event log. */
export interface SchemaChange {
  kind:
    | 'column_added'
    | 'column_removed'
    | 'column_returned'
    | 'column_renamed'
    | 'type_widened'
    | 'type_changed'
    | 'table_added'
    | 'table_removed'
    | 'table_returned'
  /** The source's column; of a change of tables there is none. */
  column?: string
  /** Name or type in the table, and in the source; null where there is none. */
  before: string | null
  after: string | null
  action: DriftAction
  /** What became of it, for people: `goes to price__string`. */
  outcome: string
}
