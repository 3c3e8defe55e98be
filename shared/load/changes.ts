import type { Field, Schema } from '../schema/types.ts'

/**
 * Files of staged changes, oldest first. A file has the table's columns, all nullable and by their physical names, and
 * may have the ones of `changeFields`; where it has not, every row is an upsert that carries all columns. The order of
 * changes is the order of files, then of rows.
 */
export interface StagedFile {
  /** In storage. */
  path: string
  rows: number
  sizeBytes: number
}

/** True: the row's key was deleted; other columns than the key and the sequence may be null. Null is false. */
export const DELETED = '__deleted'
/** The names of the columns this row does not carry: they keep their old value. Null is none. */
export const ABSENT = '__absent'

export const changeFields: readonly Field[] = [
  { name: DELETED, type: { kind: 'boolean' }, nullable: true },
  { name: ABSENT, type: { kind: 'array', element: { kind: 'string' }, containsNull: true }, nullable: true },
]

/** The schema of a staged file of a table that is merged into. */
export function changeSchema(schema: Schema): Schema {
  return { fields: [...schema.fields.map((field) => ({ ...field, nullable: true })), ...changeFields] }
}
