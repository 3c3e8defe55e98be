import { IngestError } from '../core/errors.ts'
import { type Evolution, reshapeColumns } from '../delta/evolve.ts'
import type { TableSnapshot } from '../delta/table.ts'
import { END_AT, START_AT } from '../load/history-columns.ts'
import { type Landing, landingOf } from '../load/landing.ts'
import { retypeTable } from '../load/retype-table.ts'
import { withoutSchema } from '../load/target.ts'
import { type DriftPlan, planDrift } from '../schema/drift.ts'
import { type DriftPolicy, EVOLVE, type SchemaChange } from '../schema/schema-change.ts'
import { keepsHistory, mergesByKey, type StreamRun, type StreamTask } from './stream-run.ts'

/** How often the table may change under a plan before something else is wrong. */
const MAX_ROUNDS = 20

/** What the stream's columns mean for its table now. */
export function driftOf(run: StreamRun, table: TableSnapshot, options: { whole?: boolean } = {}): DriftPlan {
  const { task, stream } = run
  const { key, sequenceBy, cursorColumns, followsNewColumns, autoFullRefresh, schemaDrift = EVOLVE } = task.table
  // Who lets a full refresh begin by itself wants one column and not two; a history would lose its versions.
  const copies = typeof autoFullRefresh === 'object' && !keepsHistory(task)
  // Who asks for a full refresh takes the source as it is.
  const policy: DriftPolicy = task.fullRefresh && !task.resync ? EVOLVE : schemaDrift
  return planDrift(table.schema, stream.schema, {
    policy,
    fixed: copies ? stream.schema.fields.map(({ name }) => name) : [...key, ...sequenceBy, ...cursorColumns],
    chosen: !followsNewColumns,
    ...(keepsHistory(task) && { own: [START_AT, END_AT] }),
    ...(keepsHistory(task) && sequenceBy[0] !== undefined && { lead: sequenceBy[0] }),
    ...options,
  })
}

/**
 * Gives the table the stream's columns, and tells of each difference. The columns come in a commit of their own, before
 * the rows: a run that dies in between finds them there, and nothing to do. Undefined when the deadline came while files
 * were written again with wider types: the next task goes on there.
 *
 * @throws IngestError `table.schema_frozen` (fix), `table.type_changed` (resync)
 */
export async function followSchema(run: StreamRun): Promise<Landing | undefined> {
  const { log, ports, task } = run
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const table = await log.read()
    const plan = driftOf(run, table)
    tellDrift(run, plan)
    if (!plan.differs) return landingOf(plan, table.schema)
    const evolution = reshapeColumns(table, plan.columns, ports.random)
    const change =
      plan.retyped.length > 0
        ? await retypeTable(table, evolution, { ...ports, ...until(task), engine: await ports.engine() })
        : { ...withoutSchema(evolution), reads: 'table' as const }
    if (!change) return undefined
    // Whether it was committed or another was first, the next look tells.
    await log.commit(table, { ...operationOf(plan.changes), ...change })
  }
  throw new IngestError('table.contended', `the columns of ${task.stream} are changed by another process`)
}

/**
 * The same for a copy that replaces every row: the columns come with the rows, in the commit that swaps them in.
 *
 * @throws IngestError `table.schema_frozen` (fix)
 */
export function schemaOfCopy(run: StreamRun, table: TableSnapshot): { landing: Landing; evolution?: Evolution } {
  const plan = driftOf(run, table, { whole: true })
  tellDrift(run, plan)
  if (!plan.differs) return { landing: landingOf(plan, table.schema) }
  const evolution = reshapeColumns(table, plan.columns, run.ports.random)
  return { landing: landingOf(plan, evolution.schema), evolution }
}

/**
 * Tells each difference once a run, and stops at one that the policy does not allow.
 *
 * @throws IngestError `table.schema_frozen` (fix), `table.type_changed` (resync)
 */
export function tellDrift(run: StreamRun, { changes, frozen, unfollowed }: DriftPlan): void {
  const { task, tally } = run
  for (const change of unfollowed ? [...changes, unfollowed] : changes) {
    const id = JSON.stringify(change)
    if (tally.drift.has(id)) continue
    tally.drift.add(id)
    task.report({ kind: 'schema_change', stream: task.stream, change })
  }
  if (frozen) throw schemaFrozen(task.stream, frozen)
  if (unfollowed)
    throw new IngestError(
      'table.type_changed',
      `the column ${unfollowed.column} of ${task.stream} is ${unfollowed.before}, and is now ${unfollowed.after} in the source`,
    )
}

/** True when new columns are to be filled for the rows that are there: by a full copy, which keeps a history. */
export function wantsBackfill(run: StreamRun, table: TableSnapshot): boolean {
  const { task, stream, writer } = run
  if (!task.table.schemaDrift?.backfill || stream.kind !== 'changes' || !writer.current.state) return false
  const added = driftOf(run, table).changes.filter(({ kind, action }) => kind === 'column_added' && action === 'evolve')
  if (added.length === 0) return false
  const names = added.map(({ column }) => column).join(', ')
  const message = mergesByKey(task)
    ? `is copied again in full to fill ${names}`
    : `${names} stays empty in older rows: rows that are only added are not copied again`
  task.report({ kind: 'note', stream: task.stream, message })
  return mergesByKey(task)
}

const until = ({ signal, deadlineMs }: StreamTask) => ({ signal, ...(deadlineMs !== undefined && { deadlineMs }) })

/** Delta's own name where there is one, and what changed: it is in `describe history` as well as in the event log. */
function operationOf(changes: readonly SchemaChange[]) {
  const onlyAdds = changes.length > 0 && changes.every(({ kind }) => kind === 'column_added')
  return {
    operation: onlyAdds ? 'ADD COLUMNS' : 'CHANGE COLUMNS',
    operationParameters: {
      columns: changes.map(({ kind, column, before, after }) => ({ kind, column: column ?? null, before, after })),
    },
  }
}

function schemaFrozen(stream: string, { kind, column, before, after }: SchemaChange): IngestError {
  const part = kind.startsWith('type') ? 'data_type' : 'columns'
  const words: Partial<Record<SchemaChange['kind'], string>> = {
    column_added: `the source has a new column ${column} (${after})`,
    column_removed: `the source has no column ${column} (${before}) any more`,
    column_returned: `the source has the column ${column} (${after}) again`,
    column_renamed: `the column ${before} is called ${after} in the source now`,
    type_widened: `the column ${column} is ${before} in the table and ${after} in the source now`,
    type_changed: `the column ${column} is ${before} in the table and ${after} in the source now`,
  }
  return new IngestError(
    'table.schema_frozen',
    `${stream}: ${words[kind]}, and its schema_drift freezes ${part}; set ${part}: evolve, exclude the column, or take the source as it is with --full-refresh=${stream}`,
  )
}
