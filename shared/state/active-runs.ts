import type { Clock } from '../core/clock.ts'
import type { StateStore } from './state-store.ts'

/**
 * Which run of a pipeline is under way, where a run is many Lambdas and no process holds a lease for all of it. A run
 * that no task has touched for longer than any task can take is dead.
 */
const STALE_MS = 20 * 60_000

interface ActiveRun {
  run: string
  touchedAtMs: number
}

const keyOf = (pipeline: string) => ({ partition: 'active-runs', sort: pipeline })

/** True: the pipeline is this run's. False: another run has it. The same run may claim again. */
export async function claimRun(
  { state, clock }: { state: StateStore; clock: Clock },
  pipeline: string,
  run: string,
): Promise<boolean> {
  const key = keyOf(pipeline)
  const entry = await state.read(key)
  const active = entry?.value as ActiveRun | undefined
  if (active && active.run !== run && clock.now() - active.touchedAtMs < STALE_MS) return false
  const value = { run, touchedAtMs: clock.now() }
  return Boolean(await state.write([{ ...key, value, expect: entry?.version ?? 'absent' }]))
}

/** A task of the run is about to work. A run that lost its claim goes on: what keeps tables right is `commitOnce`. */
export async function touchRun(
  { state, clock }: { state: StateStore; clock: Clock },
  pipeline: string,
  run: string,
): Promise<void> {
  await claimRun({ state, clock }, pipeline, run)
}

export async function releaseRun({ state }: { state: StateStore }, pipeline: string, run: string): Promise<void> {
  const key = keyOf(pipeline)
  const entry = await state.read(key)
  if ((entry?.value as ActiveRun | undefined)?.run === run) {
    await state.write([{ ...key, remove: true, expect: entry!.version }])
  }
}
