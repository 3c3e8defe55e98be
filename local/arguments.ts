import { parseArgs } from 'node:util'
import { IngestError } from '../shared/core/errors.ts'
import { didYouMean } from '../shared/pipeline/nearest.ts'
import type { Command, Option, Options } from './command.ts'

/** Options of every command. */
export const commonOptions: Readonly<Record<string, Option>> = {
  file: {
    kind: 'text',
    short: 'f',
    value: 'path',
    describe: 'The configuration file. Default: lakeflow.yml, here or in a folder above.',
  },
  json: { kind: 'flag', describe: 'One JSON object a line.' },
  debug: { kind: 'flag', describe: 'Show the stack and the causes of an error.' },
  help: { kind: 'flag', short: 'h', describe: 'Show this help.' },
}

export interface ParsedArguments {
  arguments: Record<string, string | undefined>
  rest: string[]
  options: Options
}

/** @throws IngestError `usage.invalid` (fix) for an unknown option, a missing value or argument, a word too many */
export function parseArguments(command: Command, words: readonly string[]): ParsedArguments {
  const known = { ...command.options, ...commonOptions }
  const { tokens } = parseArgs({
    args: [...words],
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: Object.fromEntries(
      Object.entries(known).map(([name, { kind, short }]) => [
        name,
        { type: kind === 'text' ? ('string' as const) : ('boolean' as const), ...(short && { short }) },
      ]),
    ),
  })
  const given = new Map<string, string | true>()
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind === 'option') given.set(token.name, optionValue(command, known, token))
  }
  return { ...placed(command, positionals), options: optionsOf(given) }
}

function optionValue(
  command: Command,
  known: Readonly<Record<string, Option>>,
  token: { name: string; rawName: string; value?: string | undefined },
): string | true {
  const option = Object.hasOwn(known, token.name) ? known[token.name] : undefined
  if (!option) {
    const names = Object.keys(known).map((name) => `--${name}`)
    throw usage(command, `unknown option ${token.rawName}${didYouMean(token.rawName, names)}`)
  }
  if (option.kind === 'flag' && token.value !== undefined) throw usage(command, `${token.rawName} takes no value`)
  if (option.kind === 'text' && !token.value)
    throw usage(command, `${token.rawName} needs a value: ${token.rawName} <${option.value ?? 'value'}>`)
  return token.value ?? true
}

function placed(command: Command, positionals: readonly string[]) {
  const named: Record<string, string | undefined> = {}
  const wanted = command.arguments ?? []
  wanted.forEach(({ name, required }, i) => {
    named[name] = positionals[i]
    if (required && positionals[i] === undefined) throw usage(command, `${name} is missing`)
  })
  const rest = positionals.slice(wanted.length)
  if (rest.length > 0 && !wanted.at(-1)?.rest) throw usage(command, `${rest[0]} is one word too many`)
  return { arguments: named, rest: [...rest] }
}

function optionsOf(given: ReadonlyMap<string, string | true>): Options {
  return {
    flag: (name) => given.has(name),
    text: (name) => {
      const value = given.get(name)
      return value === true ? undefined : value
    },
    list: (name) => {
      const value = given.get(name)
      if (value === undefined) return undefined
      return value === true
        ? []
        : value
            .split(',')
            .map((word) => word.trim())
            .filter(Boolean)
    },
  }
}

const usage = (command: Command, message: string) =>
  new IngestError('usage.invalid', `${message}; see lakeflow ${command.name} --help`)
