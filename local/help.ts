import { commonOptions } from './arguments.ts'
import type { Command, Option } from './command.ts'

/** The text of `lakeflow --help`. */
export function overview(commands: readonly Command[]): string {
  return [
    'lakeflow copies databases, applications and files into Delta tables, and keeps them current.',
    '',
    'Usage: lakeflow <command> [options]',
    '',
    ...twoColumns(commands.map((command) => [usageOf(command), command.summary])),
    '',
    'Every command:',
    ...twoColumns(Object.entries(commonOptions).map(([name, option]) => [optionText(name, option), option.describe])),
    '',
    'lakeflow <command> --help has examples. Exit codes: 0 done, 1 something failed, 2 wrong usage or configuration.',
  ].join('\n')
}

/** The text of `lakeflow <command> --help`. */
export function helpOf(command: Command): string {
  const options = { ...command.options, ...commonOptions }
  return [
    `${command.summary}`,
    '',
    `Usage: lakeflow ${usageOf(command)} [options]`,
    ...(command.details ? ['', command.details] : []),
    '',
    'Options:',
    ...twoColumns(Object.entries(options).map(([name, option]) => [optionText(name, option), option.describe])),
    '',
    'Examples:',
    ...twoColumns(command.examples.map(({ command: text, what }) => [text, what])),
    '',
    'Exit codes: 0 done, 1 something failed, 2 wrong usage or configuration.',
  ].join('\n')
}

function usageOf(command: Command): string {
  const words = (command.arguments ?? []).map(({ name, required, rest }) => {
    const word = rest ? `${name}...` : name
    return required ? `<${word}>` : `[${word}]`
  })
  return [command.name, ...words].join(' ')
}

function optionText(name: string, { kind, short, value = 'value' }: Option): string {
  const suffix = { flag: '', text: ` <${value}>`, 'optional text': `[=${value}]` }[kind]
  return `${short ? `-${short}, ` : ''}--${name}${suffix}`
}

function twoColumns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
}
