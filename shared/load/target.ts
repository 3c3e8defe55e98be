import type { Clock } from '../core/clock.ts'
import { IngestError, invariant } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import { commit, createTable } from '../delta/commit.ts'
import { type Evolution, replaceColumns } from '../delta/evolve.ts'
import { newTable } from '../delta/new-table.ts'
import { readSnapshot } from '../delta/snapshot.ts'
import type { TableSnapshot } from '../delta/table.ts'
import { findField } from '../schema/names.ts'
import { typeText } from '../schema/type-text.ts'
import type { Field, Schema } from '../schema/types.ts'
import type { Storage } from '../storage/storage.ts'
import type { CommitLog } from './commit-once.ts'

export interface TargetPorts {
  storage: Storage
  clock: Clock
  random: Random
  signal?: AbortSignal
}

export interface TargetOptions {
  /** Path of the table in storage, without a trailing slash. */
  root: string
  /** `main.shop.orders`: for people. */
  name: string
  /** The writer's id: the table is its own, and no other's. */
  owner: string
  /** Columns a new table gets. All become nullable: a source may drop a column or its NOT NULL at any time. */
  schema: Schema
  properties?: Readonly<Record<string, string>>
}

/** Names the writer a table belongs to. */
const OWNER = 'lakeflow.owner'

/** The writer a table belongs to; undefined for a table of another maker. */
export const ownerOf = ({ metadata }: TableSnapshot): string | undefined => metadata.configuration[OWNER]

/** The log of one table. Reading again costs only what is new. */
export function commitLog(first: TableSnapshot, ports: TargetPorts): CommitLog {
  let newest = first
  return {
    async read() {
      const found = await readSnapshot(ports.storage, first.root, { after: newest })
      if (!found) throw tableGone(first.root)
      newest = found
      return found
    },
    async commit(snapshot, change) {
      const result = await commit(snapshot, change, ports)
      if (result.kind === 'committed') newest = result.snapshot
      return result
    },
  }
}

/**
 * The writer's table, made when there is none.
 *
 * @throws IngestError `table.name_taken` (fix) when there is one of another maker
 */
export async function openTarget(options: TargetOptions, ports: TargetPorts): Promise<CommitLog> {
  const { root, name, owner, schema } = options
  let snapshot = await readSnapshot(ports.storage, root)
  if (!snapshot) {
    const change = newTable({ fields: schema.fields.map(nullable) }, ports, {
      name: name.split('.').at(-1)!,
      properties: { ...options.properties, [OWNER]: owner },
    })
    const made = await createTable(root, change, ports)
    snapshot = made.kind === 'committed' ? made.snapshot : await readSnapshot(ports.storage, root)
    invariant(snapshot, `the table ${name} was made and cannot be read`)
  }
  const maker = ownerOf(snapshot)
  if (maker !== owner) {
    const whose = maker === undefined ? 'was not made by this program' : `belongs to ${maker}`
    throw new IngestError(
      'table.name_taken',
      `the table ${name} exists and ${whose}; choose another destination, or drop the table`,
    )
  }
  return commitLog(snapshot, ports)
}

/** How a table's columns change when all its files are replaced; undefined when they are the stream's already. */
export function replacedColumns(table: TableSnapshot, schema: Schema, random: Random): Evolution | undefined {
  const same =
    schema.fields.length === table.schema.fields.length &&
    schema.fields.every((field, i) => {
      const old = table.schema.fields[i]!
      return old.name === field.name && sameType(field, old)
    })
  return same ? undefined : replaceColumns(table, { fields: schema.fields.map(nullable) }, random)
}

export function fieldsOf(table: { schema: Schema }, schema: Schema): Schema {
  return { fields: schema.fields.map((field) => findField(table.schema.fields, field.name)!) }
}

export const withoutSchema = ({ metadata, protocol }: Evolution) => ({ metadata, ...(protocol && { protocol }) })

const nullable = (field: Field): Field => ({ ...field, nullable: true })

/** Ids and physical names are the table's business, and so is what may be null. */
const sameType = (a: Field, b: Field) => typeText(a.type) === typeText(b.type)

function tableGone(root: string): IngestError {
  return new IngestError('table.rewound', `the table ${root} was removed while it was written to`)
}
