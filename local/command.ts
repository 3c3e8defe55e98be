import type { Project } from '../shared/control/project.ts'
import type { Output } from './output.ts'

/** One command of the `lakeflow` command line: a file in `commands/` and a line in `commands.ts`. */
export interface Command {
  name: string
  /** One line for the list of commands. */
  summary: string
  /** What follows the name: `<connection>`, `[pipeline]`. The same words name the positionals. */
  arguments?: readonly Argument[]
  options?: Readonly<Record<string, Option>>
  /** Paragraphs of --help below the summary. */
  details?: string
  examples: readonly { command: string; what: string }[]
  /** Returns the exit code: 0 done, 1 something failed. Wrong usage and configuration are thrown, and end with 2. */
  run(context: CommandContext): Promise<number>
}

export interface Argument {
  name: string
  required: boolean
  /** Takes all words that are left. */
  rest?: boolean
}

export interface Option {
  /** `flag`; `text` needs a value; `optional text` may have one: --full-refresh, --full-refresh=a,b. */
  kind: 'flag' | 'text' | 'optional text'
  short?: string
  /** Name of the value in --help. */
  value?: string
  describe: string
}

export interface CommandContext {
  arguments: Readonly<Record<string, string | undefined>>
  /** Every word after the named arguments, for an argument with `rest`. */
  rest: readonly string[]
  options: Options
  output: Output
  /** Opens the configuration file and what it names. Closed when the command ends. */
  open(): Promise<Project>
  /** The configuration file, as an absolute path; it may not exist. */
  file: string
  /** Where the command was typed. */
  folder: string
  env: NodeJS.ProcessEnv
  /** Aborts at Ctrl-C or SIGTERM. */
  signal: AbortSignal
}

/** The options given, by name. */
export interface Options {
  flag(name: string): boolean
  text(name: string): string | undefined
  /** For `optional text`: undefined when not given, an empty list without a value, else its comma-separated words. */
  list(name: string): string[] | undefined
}
