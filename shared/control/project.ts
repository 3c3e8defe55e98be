import type { Connector } from '../connector/connector.ts'
import type { Clock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import type { Redactor } from '../core/redactor.ts'
import { didYouMean } from '../pipeline/nearest.ts'
import type { ReadSpec } from '../pipeline/read-spec.ts'
import type { ReferenceSource } from '../pipeline/references.ts'
import type { PipelineSpec } from '../pipeline/spec.ts'
import type { StateStore } from '../state/state-store.ts'
import type { Storage } from '../storage/storage.ts'

/** A configuration file and everything it opens. What the command line, the API and the console work on. */
export interface Project extends ReadSpec {
  storage: Storage
  state: StateStore
  /** A folder of this machine for what a run spills and downloads. */
  scratch: string
  connectors: readonly Connector[]
  references: ReferenceSource
  /** Learns every secret as it is resolved; every output goes through it. */
  redactor: Redactor
  clock: Clock
  random: Random
}

/** @throws IngestError `usage.invalid` (fix) with the nearest name */
export function pipelineNamed(project: Pick<Project, 'spec'>, name: string): PipelineSpec {
  const pipelines = project.spec.pipelines ?? {}
  if (Object.hasOwn(pipelines, name)) return pipelines[name]!
  throw unknownName('pipeline', name, Object.keys(pipelines))
}

export type ConnectionSpec = { type: string } & Record<string, unknown>

/** @throws IngestError `usage.invalid` (fix) with the nearest name */
export function connectionNamed(project: Pick<Project, 'spec'>, name: string): ConnectionSpec {
  const connections = project.spec.connections ?? {}
  if (Object.hasOwn(connections, name)) return connections[name]!
  throw unknownName('connection', name, Object.keys(connections))
}

function unknownName(kind: string, name: string, known: readonly string[]): IngestError {
  const hint =
    didYouMean(name, known) ||
    (known.length > 0 ? `; there are ${known.join(', ')}` : `; there is no ${kind} in the file`)
  return new IngestError('usage.invalid', `there is no ${kind} ${name}${hint}`)
}
