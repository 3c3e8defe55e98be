import { IngestError } from '../core/errors.ts'
import type { LogicalType, Schema } from '../schema/types.ts'
import type { Metadata, Protocol } from './actions.ts'

/** Reader features understood here (Delta protocol, "Valid Feature Names in Table Features"). */
const readable: ReadonlySet<string> = new Set([
  'columnMapping',
  'deletionVectors',
  'timestampNtz',
  'v2Checkpoint',
  'typeWidening',
  'typeWidening-preview',
  'vacuumProtocolCheck',
  'variantType',
  'variantType-preview',
])

/** Reader features of which nothing can be written here. */
const readOnly: ReadonlySet<string> = new Set(['variantType', 'variantType-preview'])

/** Writer features whose demands on a writer are met here, or do not arise unless the table uses them (`inUse`). */
const writable: ReadonlySet<string> = new Set([
  ...[...readable].filter((feature) => !readOnly.has(feature)),
  'appendOnly',
  'invariants',
  'checkConstraints',
  'generatedColumns',
  'identityColumns',
  'allowColumnDefaults',
  'changeDataFeed',
  'domainMetadata',
  'inCommitTimestamp',
  'clustering',
])

/** The features a legacy version number stands for. */
const legacyReader: readonly (readonly [string, number])[] = [['columnMapping', 2]]
const legacyWriter: readonly (readonly [string, number])[] = [
  ['appendOnly', 2],
  ['invariants', 2],
  ['checkConstraints', 3],
  ['changeDataFeed', 4],
  ['generatedColumns', 4],
  ['columnMapping', 5],
  ['identityColumns', 6],
]

/** True when the table has the feature, by name or by an old version number. */
export function hasFeature(protocol: Protocol, feature: string): boolean {
  if (protocol.minWriterVersion >= 7) {
    return !!protocol.writerFeatures?.includes(feature) || !!protocol.readerFeatures?.includes(feature)
  }
  return legacyWriter.some(([name, version]) => name === feature && protocol.minWriterVersion >= version)
}

/**
 * Requires that everything needed to read the table is understood here.
 * @throws IngestError `table.unsupported_feature` (fix) naming each feature that is not, `table.corrupt` (fix)
 */
export function checkReadable(protocol: Protocol, table: string): void {
  const { minReaderVersion } = protocol
  if (!Number.isInteger(minReaderVersion) || minReaderVersion < 0 || minReaderVersion > 3) {
    throw unsupported(table, 'read', [`reader version ${minReaderVersion}`])
  }
  if (minReaderVersion < 3) return
  if (!protocol.readerFeatures) {
    throw new IngestError(
      'table.corrupt',
      `the protocol of the table ${table} has reader version 3 and does not list its readerFeatures; restore the file that held it`,
    )
  }
  const unknown = protocol.readerFeatures.filter((feature) => !readable.has(feature))
  if (unknown.length > 0) throw unsupported(table, 'read', unknown)
}

/**
 * Requires that this program can write the table without breaking a promise of its features.
 * @throws IngestError `table.unsupported_feature` (fix) naming each feature that is in the way
 */
export function checkWritable(protocol: Protocol, metadata: Metadata, schema: Schema, table: string): void {
  const { minWriterVersion } = protocol
  if (!Number.isInteger(minWriterVersion) || minWriterVersion < 0 || minWriterVersion > 7) {
    throw unsupported(table, 'written', [`writer version ${minWriterVersion}`])
  }
  const unknown =
    minWriterVersion < 7 ? [] : (protocol.writerFeatures ?? []).filter((feature) => !writable.has(feature))
  const refused = [...unknown, ...inUse(metadata, schema)]
  if (refused.length > 0) throw unsupported(table, 'written', refused)
}

/** Requires of a table that lost rows or files that it is not append-only. */
export function checkMayRemove(metadata: Metadata, table: string): void {
  if (metadata.configuration['delta.appendOnly']?.toLowerCase() === 'true') {
    throw new IngestError(
      'table.unsupported_feature',
      `the table ${table} has delta.appendOnly=true, so its rows cannot be changed or deleted; unset the property first`,
    )
  }
}

/**
 * The protocol with features added, in the lowest form every reader knows: column mapping alone keeps reader version 2,
 * and only a feature that readers must know raises it to 3 (Delta protocol, "Table Features").
 */
export function withFeatures(protocol: Protocol, features: readonly string[]): Protocol {
  const missing = features.filter((feature) => !hasFeature(protocol, feature))
  if (missing.length === 0) return protocol
  const writer = new Set(protocol.writerFeatures)
  if (protocol.minWriterVersion < 7) {
    for (const [name, version] of legacyWriter) if (protocol.minWriterVersion >= version) writer.add(name)
  }
  for (const feature of missing) writer.add(feature)
  const reading = [...writer].filter((feature) => readable.has(feature))
  const legacyOnly = reading.every((feature) => legacyReader.some(([name]) => name === feature))
  const minReaderVersion =
    protocol.minReaderVersion === 3 || !legacyOnly ? 3 : Math.max(protocol.minReaderVersion, reading.length > 0 ? 2 : 1)
  return {
    minReaderVersion,
    minWriterVersion: 7,
    ...(minReaderVersion === 3
      ? { readerFeatures: [...new Set([...(protocol.readerFeatures ?? []), ...reading])].sort() }
      : {}),
    writerFeatures: [...writer].sort(),
  }
}

/** Features that ask something of every written row, where the table really uses them. */
function inUse(metadata: Metadata, schema: Schema): string[] {
  const found = new Set<string>()
  for (const key of Object.keys(metadata.configuration)) {
    if (key.startsWith('delta.constraints.')) found.add(`checkConstraints (${key.slice('delta.constraints.'.length)})`)
  }
  const visit = (type: LogicalType): void => {
    if (type.kind === 'array') visit(type.element)
    if (type.kind === 'map') [type.key, type.value].forEach(visit)
    if (type.kind !== 'struct') return
    for (const { name, type: inner, metadata: keys } of type.fields) {
      if (keys?.['delta.invariants'] !== undefined) found.add(`invariants (column ${name})`)
      if (keys?.['delta.generationExpression'] !== undefined) found.add(`generatedColumns (column ${name})`)
      if (keys?.['delta.identity.start'] !== undefined) found.add(`identityColumns (column ${name})`)
      visit(inner)
    }
  }
  visit({ kind: 'struct', fields: schema.fields })
  return [...found]
}

const unsupported = (table: string, how: string, features: readonly string[]) =>
  new IngestError(
    'table.unsupported_feature',
    `the table ${table} cannot be ${how} here: it uses ${features.join(', ')}; disable what the message names, or upgrade this program`,
  )
