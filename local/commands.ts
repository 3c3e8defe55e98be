import type { Command } from './command.ts'
import { check } from './commands/check.ts'
import { discover } from './commands/discover.ts'
import { init } from './commands/init.ts'
import { query } from './commands/query.ts'
import { secret } from './commands/secret.ts'

/** Every command, in the order of --help. */
export const commands: readonly Command[] = [init, check, discover, query, secret]
