import type { Command } from './command.ts'
import { check } from './commands/check.ts'
import { describe } from './commands/describe.ts'
import { discover } from './commands/discover.ts'
import { events } from './commands/events.ts'
import { init } from './commands/init.ts'
import { optimize } from './commands/optimize.ts'
import { push } from './commands/push.ts'
import { query } from './commands/query.ts'
import { replay } from './commands/replay.ts'
import { run } from './commands/run.ts'
import { runs } from './commands/runs.ts'
import { secret } from './commands/secret.ts'
import { start } from './commands/start.ts'
import { status } from './commands/status.ts'
import { vacuum } from './commands/vacuum.ts'
import { verify } from './commands/verify.ts'

/** Every command, in the order of --help. */
export const commands: readonly Command[] = [
  init,
  check,
  discover,
  run,
  status,
  runs,
  events,
  query,
  verify,
  describe,
  optimize,
  vacuum,
  replay,
  push,
  start,
  secret,
]
