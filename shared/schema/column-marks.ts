import type { Field } from './types.ts'

/** The source's own, lasting name of a column, where it has one: a renamed column keeps it. */
export const COLUMN_ID = 'lakeflow.columnId'
/** No column of the source feeds this one now. */
export const INACTIVE = 'lakeflow.inactive'
/** Name of the column whose values this one takes since their type changed. */
export const SIBLING_OF = 'lakeflow.siblingOf'

/** The field with marks set, or taken away where undefined. */
export function mark(field: Field, marks: Readonly<Record<string, unknown>>): Field {
  const metadata = Object.fromEntries(
    Object.entries({ ...field.metadata, ...marks }).filter(([, value]) => value !== undefined),
  )
  const { metadata: _, ...rest } = field
  return Object.keys(metadata).length > 0 ? { ...rest, metadata } : rest
}
