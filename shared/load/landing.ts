import { physicalName } from '../delta/column-mapping.ts'
import type { DriftPlan } from '../schema/drift.ts'
import { findField } from '../schema/names.ts'
import type { Field, LogicalType, Schema } from '../schema/types.ts'

/** Where the rows of a stream land in its table. Plain data: it is kept with a copy that goes on later. */
export interface Landing {
  /** The stream's columns that are kept, in its order: named as the source has them, stored as the table's columns are. */
  schema: Schema
  /** All columns of the stream, in its order: those of a block. */
  columns: readonly string[]
  guards: readonly Guard[]
  /** The table's columns that a column of the stream may have been kept in before, where those are not its name alone. */
  homes: Readonly<Record<string, readonly string[]>>
}

/** Values of a column that its table does not take. */
export interface Guard {
  column: string
  action: 'discard_row' | 'discard_value'
  /** The table's type: values that fit are taken. Undefined: the table has no such column. */
  type?: LogicalType
}

/** Rows of exactly the table's own columns. */
export const plainLanding = (schema: Schema): Landing => ({
  schema,
  columns: schema.fields.map(({ name }) => name),
  guards: [],
  homes: {},
})

/** The landing that a plan leads to; `table` has the plan's columns. */
export function landingOf({ routes }: DriftPlan, table: Schema): Landing {
  const fields: Field[] = []
  const guards: Guard[] = []
  const homes: Record<string, readonly string[]> = {}
  for (const route of routes) {
    const field = route.target === undefined ? undefined : findField(table.fields, route.target)!
    if (field) fields.push(field.name === route.source ? field : storedAs(route.source, field))
    if (route.homes) homes[route.source] = route.homes
    if (route.guard) guards.push({ column: route.source, action: route.guard, ...(field && { type: field.type }) })
  }
  return { schema: { fields }, columns: routes.map(({ source }) => source), guards, homes }
}

const storedAs = (name: string, field: Field): Field => ({ ...field, name, physicalName: physicalName(field) })
