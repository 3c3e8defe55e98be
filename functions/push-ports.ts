import { declaredTables } from '../shared/control/push-settings.ts'
import { readStoredPush } from '../shared/control/stored-push.ts'
import type { PushSpec } from '../shared/pipeline/push-spec.ts'
import { createPushTables, type PushTables } from '../shared/push/tables.ts'
import type { StateStore } from '../shared/state/state-store.ts'
import { lakehousePorts } from './lakehouse-ports.ts'
import type { PushEnv } from './push-env.ts'
import { eventsQueue, flushedQueue } from './sqs.ts'

/** How old the configuration and the columns of a table may be in a function. */
const MAX_AGE_MS = 10_000

/** State, storage and both queues of push in this deployment. */
export function pushPorts(env: PushEnv) {
  const ports = lakehousePorts(env)
  return {
    ...ports,
    queue: eventsQueue(env.EVENTS_QUEUE_URL, ports.storage),
    flushed: flushedQueue(env.FLUSHED_QUEUE_URL, ports.storage),
  }
}

export type PushFunctionPorts = ReturnType<typeof pushPorts>

/** What is `made` of the section `push` of the stored configuration: read again when it is old, and made again once a change. */
export function fromPushSpec<T>(state: StateStore, make: (spec: PushSpec) => T | Promise<T>): () => Promise<T> {
  let made: { version: number; value: Promise<T> } | undefined
  let readMs = 0
  return async () => {
    if (made && Date.now() - readMs < MAX_AGE_MS) return made.value
    const { push, version } = await readStoredPush(state)
    readMs = Date.now()
    if (made?.version === version) return made.value
    const fresh = { version, value: Promise.resolve(make(push)) }
    made = fresh
    // What failed to be made is tried again by the next event.
    fresh.value.catch(() => {
      if (made === fresh) made = undefined
    })
    return fresh.value
  }
}

/** The tables that take events, as the stored configuration has them now, and whether sessions may create others. */
export function openTables(ports: PushFunctionPorts): () => Promise<{ tables: PushTables; mayCreate: boolean }> {
  return fromPushSpec(ports.state, (spec) => ({
    tables: createPushTables(declaredTables(spec), ports, MAX_AGE_MS),
    mayCreate: spec.create_tables ?? false,
  }))
}
