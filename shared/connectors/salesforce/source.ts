import type { Selection, SourceTable } from '../../connector/connector.ts'
import { IngestError } from '../../core/errors.ts'
import type { Schema } from '../../schema/types.ts'
import { describeObject, neverNull, type SalesforceObject } from './describe.ts'
import type { Org } from './org.ts'
import { fieldNamed, filterSoql } from './soql.ts'
import { type FieldDescription, fieldType, isLoose } from './types.ts'

/** One object with a pipeline's selection laid over it: everything its streams put into queries. */
export interface Source {
  org: Org
  object: SalesforceObject
  selection: Selection
  /** The selected fields, in the order of the rows. */
  fields: readonly FieldDescription[]
  columns: readonly string[]
  schema: Schema
  /** Some field's values must be read one by one. */
  loose: boolean
  /** The pushed-down filter, and that rows are not deleted by the pipeline's own condition. */
  conditions: readonly string[]
  /** The pipeline's condition for rows that count as deleted. */
  deleted: string | undefined
}

/** @throws IngestError `source.object_missing`, `config.invalid` (fix) */
export async function openSource(org: Org, table: SourceTable, selection: Selection): Promise<Source> {
  const object = await describeObject(org, table.name)
  const fields = selection.columns.map((name) => fieldNamed(name, object.fields))
  const types = fields.map((field) => {
    const type = fieldType(field, org.config)
    if ('unreadable' in type) throw new IngestError('config.invalid', `${object.name}.${field.name} ${type.unreadable}`)
    return { name: field.name, type, nullable: !neverNull(field) }
  })
  const deleted = selection.deletionCondition && filterSoql(selection.deletionCondition, object.fields)
  return {
    org,
    object,
    selection,
    fields,
    columns: fields.map(({ name }) => name),
    schema: { fields: types },
    loose: fields.some(isLoose),
    conditions: [
      ...(selection.filter ? [filterSoql(selection.filter, object.fields)] : []),
      ...(deleted ? [`NOT (${deleted})`] : []),
    ],
    deleted,
  }
}
