import { COLUMN_ID, INACTIVE, mark, SIBLING_OF } from './column-marks.ts'
import { foldName } from './names.ts'
import type { DriftAction, DriftPolicy, SchemaChange } from './schema-change.ts'
import { typeText } from './type-text.ts'
import type { Field, LogicalType, Schema } from './types.ts'
import { commonType } from './widen.ts'

/** Where the values of one column of a stream go. */
export interface Route {
  source: string
  /** The table's column; undefined when the value is not kept. */
  target?: string
  /** The table's columns that may hold an older value of it, where there is more than one. */
  homes?: readonly string[]
  /** What happens to a value that has no place: without a target every value, else one that is not of the target's type. */
  guard?: 'discard_row' | 'discard_value'
}

export interface DriftPlan {
  changes: readonly SchemaChange[]
  /** The table's columns afterwards. `was`: the name of one that is there; without it the column is new. */
  columns: readonly { was?: string; field: Field }[]
  /** The table's metadata is to be written: columns, types, names or marks differ. */
  differs: boolean
  /** Columns of the table whose type grows or becomes another: their files must be written again. */
  retyped: readonly string[]
  renamed: boolean
  /** In the order of the stream's columns. */
  routes: readonly Route[]
  /** The difference that the policy does not allow. */
  frozen?: SchemaChange
  /** A type that only a full copy can follow. */
  unfollowed?: SchemaChange
}

export interface DriftOptions {
  policy: DriftPolicy
  /** Columns of the table that are not the source's. */
  own?: readonly string[]
  /** The column of the source whose type those have. */
  lead?: string
  /** Columns whose values must stay in one place: keys, sequences, cursors. */
  fixed?: readonly string[]
  /** The user named the columns to take, so a new one is no surprise. */
  chosen?: boolean
  /** Every row is replaced: a type may become any other. */
  whole?: boolean
}

/**
 * What follows for a table from the columns its stream has now. Pure: marks in the table's own column metadata say what
 * was known before, so asking again after the plan was carried out gives a plan without changes.
 */
export function planDrift(table: Schema, stream: Schema, options: DriftOptions): DriftPlan {
  return new Planner(table, stream, options).plan()
}

interface Column {
  /** As it is in the table; undefined for a new one. */
  old?: Field
  field: Field
  /** A column of the source feeds it. */
  active: boolean
  wasActive: boolean
}

class Planner {
  readonly #stream: Schema
  readonly #options: DriftOptions
  readonly #own: readonly Field[]
  readonly #columns: Column[]
  readonly #changes: SchemaChange[] = []
  readonly #routes: Route[] = []
  #frozen: SchemaChange | undefined
  #unfollowed: SchemaChange | undefined

  constructor(table: Schema, stream: Schema, options: DriftOptions) {
    const own = new Set((options.own ?? []).map(foldName))
    this.#stream = stream
    this.#options = options
    this.#own = table.fields.filter(({ name }) => own.has(foldName(name)))
    this.#columns = table.fields
      .filter(({ name }) => !own.has(foldName(name)))
      .map((field) => ({ old: field, field, active: false, wasActive: field.metadata?.[INACTIVE] !== true }))
  }

  plan(): DriftPlan {
    const claimed = this.#claim()
    for (const source of this.#stream.fields) {
      const column = claimed.get(source)
      if (column) this.#follow(source, column)
      else this.#takeNew(source)
    }
    for (const column of this.#columns) if (!column.active && column.wasActive) this.#leave(column)
    const columns = this.#marked()
    return {
      changes: this.#changes,
      columns: columns.map(({ old, field }) => (old ? { was: old.name, field } : { field })),
      differs: columns.some(({ old, field }) => field !== old),
      retyped: columns.flatMap(({ old, field }) => (old && old.type !== field.type ? [field.name] : [])),
      renamed: columns.some(({ old, field }) => old !== undefined && old.name !== field.name),
      routes: this.#routes,
      ...(this.#frozen && { frozen: this.#frozen }),
      ...(this.#unfollowed && { unfollowed: this.#unfollowed }),
    }
  }

  /** The table's column of each column of the stream: by the source's own id, and by name where that says nothing. */
  #claim(): Map<Field, Column> {
    const claimed = new Map<Field, Column>()
    const taken = new Set<Column>()
    const { columns } = this.#options.policy
    const bases = this.#columns.filter(({ field }) => field.metadata?.[SIBLING_OF] === undefined)
    const byId = new Map(bases.map((column) => [column.field.metadata?.[COLUMN_ID], column]))
    for (const source of this.#stream.fields) {
      const id = source.metadata?.[COLUMN_ID]
      const column = id === undefined ? undefined : byId.get(id)
      const isRenamed = column && foldName(column.field.name) !== foldName(source.name)
      // A policy that discards new columns takes a renamed one for a new one.
      if (!column || (isRenamed && columns !== 'evolve' && columns !== 'freeze')) continue
      claimed.set(source, column)
      taken.add(column)
    }
    for (const source of this.#stream.fields) {
      if (claimed.has(source)) continue
      const column = bases.find((each) => !taken.has(each) && foldName(each.field.name) === foldName(source.name))
      if (!column) continue
      claimed.set(source, column)
      taken.add(column)
    }
    this.#rename(claimed)
    return claimed
  }

  #rename(claimed: ReadonlyMap<Field, Column>): void {
    const renamed = [...claimed].filter(([source, { field }]) => foldName(source.name) !== foldName(field.name))
    for (const [source, column] of renamed) {
      const { name } = column.field
      this.#tell(
        'columns',
        { kind: 'column_renamed', column: source.name, before: name, after: source.name },
        'renamed',
      )
      for (const sibling of this.#siblings(name)) sibling.field = mark(sibling.field, { [SIBLING_OF]: source.name })
      column.field = { ...column.field, name: source.name }
    }
    const names = new Set(renamed.map(([source]) => foldName(source.name)))
    const held = new Set(claimed.values())
    for (const column of this.#columns)
      if (!held.has(column) && names.has(foldName(column.field.name)))
        column.field = { ...column.field, name: this.#freeName(`${column.field.name}__removed`) }
  }

  #follow(source: Field, base: Column): void {
    const id = source.metadata?.[COLUMN_ID]
    if (id !== undefined && base.field.metadata?.[COLUMN_ID] !== id) base.field = mark(base.field, { [COLUMN_ID]: id })
    const siblings = this.#siblings(base.field.name)
    const fitting = [base, ...siblings].find(({ field }) => commonType(field.type, source.type) === field.type)
    if (fitting) {
      const other = [base, ...siblings].find((each) => each !== fitting && each.wasActive)
      if (!fitting.wasActive && other)
        this.#tellType(source, other.field.type, 'evolve', `goes to ${fitting.field.name}`)
      else if (!fitting.wasActive)
        this.#tell(
          undefined,
          { kind: 'column_returned', column: source.name, before: null, after: typeText(source.type) },
          'is taken back',
        )
      this.#send(source, fitting)
      return
    }
    const { policy, fixed = [], whole } = this.#options
    const type = commonType(base.field.type, source.type)
    const before = typeText(base.field.type)
    const change = { column: source.name, before, after: typeText(source.type) }
    if (policy.dataType !== 'evolve') {
      const outcome =
        policy.dataType === 'discard_row' ? 'rows that do not fit are set aside' : 'values that do not fit are dropped'
      this.#tell('dataType', { kind: 'type_changed', ...change }, outcome)
      this.#send(source, base, policy.dataType === 'discard_value' ? 'discard_value' : undefined)
    } else if (type || whole) {
      const becomes = type ?? source.type
      base.field = { ...base.field, type: becomes }
      this.#tell(
        'dataType',
        { kind: type ? 'type_widened' : 'type_changed', ...change },
        `is ${typeText(becomes)} from now on`,
      )
      this.#send(source, base)
    } else if (fixed.some((name) => foldName(name) === foldName(source.name))) {
      this.#unfollowed ??= { kind: 'type_changed', ...change, action: 'evolve', outcome: 'is copied again in full' }
      this.#send(source, base)
    } else {
      const name = this.#freeName(`${base.field.name}__${shortName(source.type)}`)
      const { name: _, ...rest } = source
      const field = mark({ ...rest, name, nullable: true }, { [SIBLING_OF]: base.field.name, [COLUMN_ID]: undefined })
      const sibling: Column = { field, active: true, wasActive: true }
      this.#columns.push(sibling)
      this.#tell('dataType', { kind: 'type_changed', ...change }, `goes to ${name}`)
      this.#send(source, sibling)
    }
  }

  #takeNew(source: Field): void {
    const { policy, chosen } = this.#options
    const action = chosen ? 'evolve' : policy.columns
    const change = { kind: 'column_added', column: source.name, before: null, after: typeText(source.type) } as const
    if (action === 'discard_row' || action === 'discard_value') {
      this.#tell(
        'columns',
        change,
        action === 'discard_row' ? 'rows that have a value are set aside' : 'its values are dropped',
      )
      this.#routes.push({ source: source.name, guard: action })
      return
    }
    this.#tell(chosen ? undefined : 'columns', change, 'is added')
    const column: Column = { field: { ...source, nullable: true }, active: true, wasActive: true }
    this.#columns.push(column)
    this.#routes.push({ source: source.name, target: source.name })
  }

  #leave({ field }: Column): void {
    if (field.metadata?.[SIBLING_OF] !== undefined || this.#siblings(field.name).some(({ active }) => active)) return
    this.#tell(
      this.#options.policy.columns === 'freeze' ? 'columns' : undefined,
      { kind: 'column_removed', column: field.name, before: typeText(field.type), after: null },
      'stays, null from now on',
    )
  }

  #send(source: Field, column: Column, guard?: 'discard_value'): void {
    column.active = true
    const base = String(column.field.metadata?.[SIBLING_OF] ?? column.field.name)
    const homes = [base, ...this.#siblings(base).map(({ field }) => field.name)]
    this.#routes.push({
      source: source.name,
      target: column.field.name,
      ...(homes.length > 1 && { homes }),
      ...(guard && { guard }),
    })
  }

  /** The columns with their marks; a history's own follow the type of the column they are made of. */
  #marked(): Pick<Column, 'old' | 'field'>[] {
    const columns = this.#columns.map(({ old, field, active, wasActive }) => ({
      ...(old && { old }),
      field: active === wasActive ? field : mark(field, { [INACTIVE]: active ? undefined : true }),
    }))
    const lead = columns.find(({ field }) => field.name === this.#options.lead)
    const follow = lead?.old && lead.old.type !== lead.field.type ? { type: lead.field.type } : undefined
    return [...columns, ...this.#own.map((field) => ({ old: field, field: follow ? { ...field, ...follow } : field }))]
  }

  #siblings(base: string): Column[] {
    const name = foldName(base)
    return this.#columns.filter(({ field }) => foldName(String(field.metadata?.[SIBLING_OF] ?? '')) === name)
  }

  #freeName(wanted: string): string {
    const taken = new Set(
      [...this.#columns.map(({ field }) => field), ...this.#own, ...this.#stream.fields].map(({ name }) =>
        foldName(name),
      ),
    )
    let name = wanted
    for (let n = 2; taken.has(foldName(name)); n++) name = `${wanted}_${n}`
    return name
  }

  #tellType(source: Field, before: LogicalType, action: DriftAction, outcome: string): void {
    const change = { column: source.name, before: typeText(before), after: typeText(source.type) }
    this.#changes.push({ kind: 'type_changed', ...change, action, outcome })
  }

  /** `by`: the part of the policy that decides. */
  #tell(
    by: 'columns' | 'dataType' | undefined,
    change: Omit<SchemaChange, 'action' | 'outcome'>,
    outcome: string,
  ): void {
    const action = by ? this.#options.policy[by] : 'evolve'
    const told = { ...change, action, outcome: action === 'freeze' ? 'stops the stream' : outcome }
    if (action === 'freeze') this.#frozen ??= told
    this.#changes.push(told)
  }
}

/** `decimal(10,2)` -> `decimal_10_2`; of a nested type its kind. */
const shortName = (type: LogicalType): string =>
  type.kind === 'decimal' ? `decimal_${type.precision}_${type.scale}` : type.kind
