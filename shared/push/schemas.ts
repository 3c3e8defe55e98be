import * as z from 'zod'
import { IngestError } from '../core/errors.ts'
import { deltaSchemaText, parseDeltaSchema } from '../schema/delta-schema.ts'
import { typeText } from '../schema/type-text.ts'
import type { Field, LogicalType, Schema } from '../schema/types.ts'
import type { StateStore } from '../state/state-store.ts'
import { pushPartition } from './stored-sessions.ts'

/** The columns of a table at one version. Versions count from 1 and are the same on every server. */
export interface TableSchema {
  version: number
  schema: Schema
}

const stored = z.object({ text: z.string() })
const schemaKey = (table: string, version: number) => ({
  partition: pushPartition(table),
  sort: `schema/${String(version).padStart(8, '0')}`,
})

/** The version of this schema: the newest one, or one more than it when the schema is new. */
export async function registerSchema(table: string, schema: Schema, state: StateStore): Promise<TableSchema> {
  const text = deltaSchemaText(schema)
  for (;;) {
    const [newest] = await state.list(pushPartition(table), { prefix: 'schema/', descending: true, limit: 1 })
    const version = newest ? Number(newest.sort.slice('schema/'.length)) : 0
    if (newest && stored.parse(newest.value).text === text) return { version, schema }
    const next = { ...schemaKey(table, version + 1), value: { text }, expect: 'absent' as const }
    if (await state.write([next])) return { version: version + 1, schema }
  }
}

/** @throws IngestError `push.schema_version_unknown` (fix) */
export async function schemaAt(table: string, version: number, state: StateStore): Promise<TableSchema> {
  const entry = await state.read(schemaKey(table, version))
  if (!entry)
    throw new IngestError(
      'push.schema_version_unknown',
      `${table} has no schema version ${version}; leave schemaVersion out`,
    )
  return { version, schema: parseDeltaSchema(stored.parse(entry.value).text) }
}

/** Why rows written by an older schema cannot be in a table of this one; undefined when they can. */
export function misfitOf(older: Schema, now: Schema): string | undefined {
  return fieldsMisfit(older.fields, now.fields, '')
}

function fieldsMisfit(older: readonly Field[], now: readonly Field[], path: string): string | undefined {
  // Files know a column by its physical name: one that was only renamed is still there.
  const idOf = ({ physicalName, name }: Field) => physicalName ?? name
  for (const field of older) {
    const found = now.find((other) => idOf(other) === idOf(field))
    const name = `${path}${field.name}`
    if (!found) return `the column ${name} is gone`
    if (field.nullable && !found.nullable) return `the column ${name} must not be null now`
    const misfit = typeMisfit(field.type, found.type, name)
    if (misfit) return misfit
  }
  const demanded = now.find((field) => !field.nullable && !older.some((other) => idOf(other) === idOf(field)))
  return demanded && `the new column ${path}${demanded.name} must not be null`
}

/** A struct may have grown wherever it stands. */
function typeMisfit(older: LogicalType, now: LogicalType, name: string): string | undefined {
  if (older.kind === 'struct' && now.kind === 'struct') return fieldsMisfit(older.fields, now.fields, `${name}.`)
  if (older.kind === 'array' && now.kind === 'array') return typeMisfit(older.element, now.element, `${name}[]`)
  if (older.kind === 'map' && now.kind === 'map')
    return typeMisfit(older.key, now.key, `${name} key`) ?? typeMisfit(older.value, now.value, `${name} value`)
  if (typeText(older) === typeText(now)) return undefined
  return `the column ${name} was ${typeText(older)} and is ${typeText(now)}`
}
