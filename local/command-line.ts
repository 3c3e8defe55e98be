import { asIngestError, IngestError } from '../shared/core/errors.ts'
import { Redactor } from '../shared/core/redactor.ts'
import { didYouMean } from '../shared/pipeline/nearest.ts'
import { parseArguments } from './arguments.ts'
import type { Command } from './command.ts'
import { commands } from './commands.ts'
import { errorRecord, errorText, exitCodeOf } from './error-text.ts'
import { helpOf, overview } from './help.ts'
import { Output, type TextStream } from './output.ts'
import manifest from './package.json' with { type: 'json' }
import { findSpecFile, type OpenProject, openProject } from './project.ts'

export interface Terminal {
  out: TextStream
  errors: TextStream
  env: NodeJS.ProcessEnv
  folder: string
}

/**
 * Runs one command line and returns its exit code. Never throws: errors are printed. The first Ctrl-C asks the command to
 * end in order, the second ends the process at once.
 */
export function runCommandLine(words: readonly string[], terminal: Terminal = thisTerminal()): Promise<number> {
  return guarded(words, terminal, async (session) => {
    const [name, ...rest] = words
    if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
      const about = name === 'help' && rest[0] ? commandNamed(rest[0]) : undefined
      await session.output.raw(`${about ? helpOf(about) : overview(commands)}\n`)
      return 0
    }
    if (name === '--version' || name === '-v') {
      await session.output.raw(`lakeflow ${manifest.version}, Node ${process.versions.node}\n`)
      return 0
    }
    return runWords(commandNamed(name), rest, session)
  })
}

/** The same for a program that is one command. */
export function runCommand(command: Command, words: readonly string[], terminal = thisTerminal()): Promise<number> {
  return guarded(words, terminal, (session) => runWords(command, words, session))
}

interface Session {
  terminal: Terminal
  output: Output
  redactor: Redactor
  signal: AbortSignal
}

async function guarded(
  words: readonly string[],
  terminal: Terminal,
  work: (session: Session) => Promise<number>,
): Promise<number> {
  const redactor = new Redactor()
  const output = new Output({ ...terminal, json: words.includes('--json'), redactor })
  const stop = new AbortController()
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(130)
    stop.abort(new DOMException('stopped', 'AbortError'))
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  try {
    return await work({ terminal, output, redactor, signal: stop.signal })
  } catch (error) {
    const debug = words.includes('--debug')
    if (stop.signal.aborted && !(error instanceof IngestError)) {
      output.note('stopped')
      return 1
    }
    const known = asIngestError(error)
    if (output.json) output.record(errorRecord(known, debug))
    else output.error(errorText(known, debug))
    return exitCodeOf(known)
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  }
}

async function runWords(
  command: Command,
  words: readonly string[],
  { terminal, output, redactor, signal }: Session,
): Promise<number> {
  if (words.includes('--help') || words.includes('-h')) {
    await output.raw(`${helpOf(command)}\n`)
    return 0
  }
  const parsed = parseArguments(command, words)
  const file = findSpecFile(parsed.options.text('file'), terminal.folder)
  let opened: OpenProject | undefined
  try {
    return await command.run({
      ...parsed,
      output,
      file,
      folder: terminal.folder,
      env: terminal.env,
      signal,
      open: async () => {
        if (opened) return opened
        opened = await openProject(file, { env: terminal.env, redactor })
        for (const note of opened.notes) output.note(`note ${note}`)
        return opened
      },
    })
  } finally {
    await opened?.close()
  }
}

function commandNamed(name: string): Command {
  const command = commands.find((candidate) => candidate.name === name)
  if (command) return command
  const hint =
    didYouMean(
      name,
      commands.map((candidate) => candidate.name),
    ) || '; see lakeflow --help'
  throw new IngestError('usage.invalid', `there is no command ${name}${hint}`)
}

function thisTerminal(): Terminal {
  // A reader that went away (`| head`) ends the output, not the command.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(0)
  })
  return { out: process.stdout, errors: process.stderr, env: process.env, folder: process.cwd() }
}
