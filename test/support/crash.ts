/** The process died here, as far as the code under test can tell. Never translated, never retried with success. */
export class Crash extends Error {
  override readonly name = 'Crash'
  constructor(point: number) {
    super(`crash at point ${point}`)
  }
}

/**
 * Counts the awaits on ports and dies at one of them. Each call of a port is two points: before it takes effect, and
 * after it did but before its reply. A dead process does nothing more: every later call is refused.
 */
export interface CrashPlan {
  readonly dead: boolean
  /** Passes, or throws Crash when this is the point to die at or we are dead already. */
  point(): void
  /** Runs the part of a scenario that dies. Resolves when it ends or is dead; any error before the crash is real. */
  life(work: () => Promise<unknown>): Promise<void>
}

/** A plan that dies at the n-th point, from 1. With Infinity it never does. */
export function crashAt(n: number): CrashPlan & { readonly points: number } {
  let points = 0
  const plan = {
    get points() {
      return points
    },
    get dead() {
      return points >= n
    },
    point() {
      if (points < n) points++
      if (points >= n) throw new Crash(n)
    },
    async life(work: () => Promise<unknown>) {
      try {
        await work()
      } catch (error) {
        if (!plan.dead) throw error
      }
    },
  }
  return plan
}

/** Runs any call of a port with a crash point before it and one between its effect and its reply. */
export async function crashing<T>(plan: CrashPlan | undefined, call: () => Promise<T>): Promise<T> {
  plan?.point()
  const reply = await call()
  plan?.point()
  return reply
}

/**
 * Runs a scenario once per crash point, until one run ends without reaching its point. The scenario makes fresh ports,
 * wraps them with the plan (`faultyStorage(storage, { crash })`), does its work inside `crash.life`, and then, with the
 * bare ports, recovers as the next process would and asserts. Returns how many points there were; none is an error.
 * A long scenario may try only every `stride`-th point.
 */
export async function everyCrashPoint(
  scenario: (crash: CrashPlan) => Promise<void>,
  { stride = 1 }: { stride?: number } = {},
): Promise<number> {
  for (let n = 1; ; n += stride) {
    const plan = crashAt(n)
    try {
      await scenario(plan)
    } catch (error) {
      throw new Error(`with a crash at point ${n}: ${error instanceof Error ? error.message : error}`, { cause: error })
    }
    if (plan.dead) continue
    if (n === 1) throw new Error('the scenario never reached a crash point: wrap its ports with the plan')
    return n - 1
  }
}
