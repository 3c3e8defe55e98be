import { findField } from '../schema/names.ts'
import type { Field, Schema } from '../schema/types.ts'

/** From when a version of a row holds, inclusive: the first sequence column of the change that began it. */
export const START_AT = '__START_AT'
/** Until when, exclusive; null while it holds. */
export const END_AT = '__END_AT'

/**
 * The schema of a history table: the source's columns, `__START_AT` and `__END_AT` of the plain type of the first
 * sequence column, or timestamps when changes are ordered by arrival.
 */
export function historySchema(schema: Schema, sequenceBy: readonly string[]): Schema {
  const lead = sequenceBy[0] === undefined ? undefined : findField(schema.fields, sequenceBy[0])
  const type = lead?.type ?? ({ kind: 'timestamp' } as const)
  const fields = [START_AT, END_AT].map((name): Field => ({ name, type, nullable: true }))
  return { fields: [...schema.fields, ...fields] }
}
