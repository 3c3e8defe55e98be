import { IngestError } from '../core/errors.ts'
import type { Field, LogicalType, Schema } from './types.ts'

/** The form in which two column names are the same: Delta compares them ignoring case. */
export const foldName = (name: string): string => name.toLowerCase()

/** The field of that name ignoring case, or undefined. */
export function findField(fields: readonly Field[], name: string): Field | undefined {
  return fields.find((field) => field.name === name) ?? fields.find((field) => foldName(field.name) === foldName(name))
}

/**
 * Requires every struct's names, the schema's own included, to be non-empty and unique ignoring case.
 * @throws IngestError `config.invalid` (fix)
 */
export function checkNames(schema: Schema): void {
  checkFields(schema.fields, '')
}

function checkFields(fields: readonly Field[], path: string) {
  const seen = new Map<string, string>()
  for (const field of fields) {
    const other = seen.get(foldName(field.name))
    if (field.name === '' || other !== undefined) {
      throw new IngestError(
        'config.invalid',
        field.name === ''
          ? `a column${path && ` of ${path}`} has no name; give it one`
          : `the columns ${path}${other} and ${path}${field.name} differ only in case; rename or exclude one of them`,
      )
    }
    seen.set(foldName(field.name), field.name)
    checkType(field.type, `${path}${field.name}.`)
  }
}

function checkType(type: LogicalType, path: string) {
  if (type.kind === 'struct') checkFields(type.fields, path)
  if (type.kind === 'array') checkType(type.element, `${path}element.`)
  if (type.kind === 'map') {
    checkType(type.key, `${path}key.`)
    checkType(type.value, `${path}value.`)
  }
}
