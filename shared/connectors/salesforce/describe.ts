import * as z from 'zod'
import type { SourceTable } from '../../connector/connector.ts'
import { IngestError } from '../../core/errors.ts'
import type { Field } from '../../schema/types.ts'
import { vendorCode } from './errors.ts'
import type { Org } from './org.ts'
import { fitsAnAddress, queryPages } from './rest.ts'
import { soql } from './soql.ts'
import { type FieldDescription, fieldType } from './types.ts'

const Global = z.looseObject({
  sobjects: z.array(
    z.looseObject({ name: z.string(), queryable: z.boolean(), deprecatedAndHidden: z.boolean().optional() }),
  ),
})

const Description = z.looseObject({
  name: z.string(),
  queryable: z.boolean(),
  /** Its deletes are in the delete log. */
  replicateable: z.boolean().optional(),
  fields: z.array(
    z.looseObject({
      name: z.string(),
      type: z.string(),
      nillable: z.boolean(),
      precision: z.number().optional(),
      scale: z.number().optional(),
      calculated: z.boolean().optional(),
      filterable: z.boolean().optional(),
      label: z.string().optional(),
    }),
  ),
})

export interface SalesforceObject {
  name: string
  replicateable: boolean
  fields: ReadonlyMap<string, FieldDescription>
}

/** Fields that grow with every change of a row, best first. The last two are of objects whose rows do not change. */
export const cursorFields = ['SystemModstamp', 'LastModifiedDate', 'CreatedDate', 'LoginTime']

/** The one schema that all objects are in; the name is Databricks'. */
export const SCHEMA = 'objects'

/**
 * Objects that a query without a filter on certain fields is refused for, or that hold no rows of their own (Object
 * Reference), and external and big objects.
 */
const unreadable = new Set(
  (
    'AppTabMember ColorDefinition ContentDocumentLink ContentFolderItem ContentFolderMember DataStatistics DataType ' +
    'DatacloudAddress EntityParticle FieldDefinition FlexQueueItem IconDefinition IdeaComment ListViewChartInstance ' +
    'NetworkUserHistoryRecent OutgoingEmail OutgoingEmailRelation OwnerChangeOptionInfo PicklistValueInfo PlatformAction ' +
    'RelatedListColumnDefinition RelatedListDefinition RelationshipDomain RelationshipInfo SearchLayout SiteDetail ' +
    'UserAppMenuItem UserEntityAccess UserFieldAccess UserRecordAccess Vote'
  ).split(' '),
)
const otherStores = /__(b|x|hd|e|ChangeEvent)$|ChangeEvent$|EventStream$/

/** Standard and custom objects that can be queried, in the order of their names. */
export async function discover(
  org: Org,
  scope: { schema?: string; table?: string } = {},
): Promise<readonly SourceTable[]> {
  if (scope.schema !== undefined && scope.schema.toLowerCase() !== SCHEMA) return []
  const wanted = scope.table?.toLowerCase()
  const names = (await discoverNames(org)).filter((name) => wanted === undefined || name.toLowerCase() === wanted)
  const tables: SourceTable[] = []
  const waiting = names.entries()
  const workers = Array.from({ length: Math.min(4, names.length) }, async () => {
    for (const [index, name] of waiting) {
      const object = await describeObject(org, name)
      // A request more an object: worth it for the tables that a pipeline names, not for hundreds of them.
      tables[index] = sourceTable(object, org, wanted === undefined ? [] : await hiddenFields(org, object))
    }
  })
  await Promise.all(workers)
  return tables
}

/** Names of the objects that can be read. */
export async function discoverNames(org: Org): Promise<string[]> {
  const { sobjects } = await org.client.json({ doing: 'list the objects', path: org.path('/sobjects') }, Global)
  return sobjects
    .filter(({ queryable, deprecatedAndHidden }) => queryable && !deprecatedAndHidden)
    .map(({ name }) => name)
    .filter((name) => !unreadable.has(name) && !otherStores.test(name))
    .sort()
}

/** @throws IngestError `source.object_missing` (fix) */
export async function describeObject(org: Org, name: string): Promise<SalesforceObject> {
  const request = { doing: `describe ${name}`, path: org.path(`/sobjects/${encodeURIComponent(name)}/describe`) }
  const { fields, replicateable = false, ...object } = await org.client.json(request, Description)
  return { name: object.name, replicateable, fields: new Map(fields.map((field) => [field.name, field])) }
}

/** Fields that the description has and a query is refused for: the org names one at a time. */
async function hiddenFields(org: Org, { name, fields }: SalesforceObject): Promise<string[]> {
  const hidden: string[] = []
  for (;;) {
    const asked = [...fields.keys()].filter((field) => !hidden.includes(field))
    const query = `${soql(asked, name, [])} LIMIT 1`
    if (asked.length === 0 || !fitsAnAddress(query)) return hidden
    try {
      for await (const _ of queryPages(org, `look at the fields of ${name}`, query));
      return hidden
    } catch (error) {
      const [, field] = /No such column '(\w+)'/i.exec(error instanceof IngestError ? error.message : '') ?? []
      const found = asked.find((one) => one.toLowerCase() === field?.toLowerCase())
      // What else may be wrong with the object is told when it is read.
      if (vendorCode(error) !== 'INVALID_FIELD' || found === undefined) return hidden
      hidden.push(found)
    }
  }
}

function sourceTable({ name, fields }: SalesforceObject, org: Org, hidden: readonly string[]): SourceTable {
  const columns: Field[] = []
  const left: { column: string; reason: string }[] = []
  for (const field of fields.values()) {
    const type = fieldType(field, org.config)
    if (hidden.includes(field.name))
      left.push({ column: field.name, reason: 'is hidden by field-level security: grant Read in a permission set' })
    else if ('unreadable' in type) left.push({ column: field.name, reason: type.unreadable })
    else columns.push({ name: field.name, type, nullable: !neverNull(field) })
  }
  const cursorCandidates = cursorFields.filter(
    (cursor) => fields.get(cursor)?.type === 'datetime' && !hidden.includes(cursor),
  )
  return {
    schema: SCHEMA,
    name,
    columns: { fields: columns },
    key: fields.get('Id')?.type === 'id' ? ['Id'] : [],
    cursorCandidates,
    modes: cursorCandidates.length > 0 ? ['query', 'snapshot'] : ['snapshot'],
    ...(left.length > 0 && { unreadable: left }),
  }
}

/** `nillable: false` is kept for new rows only; old ones of custom objects may lack what became required later. */
export const neverNull = ({ name, type, nillable }: FieldDescription) =>
  !nillable && (type === 'id' || (type === 'datetime' && cursorFields.includes(name)))
