import { dirname } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { IngestError } from '../../shared/core/errors.ts'
import { didYouMean } from '../../shared/pipeline/nearest.ts'
import type { Command } from '../command.ts'
import { secretsIn } from '../secrets.ts'

const actions = ['set', 'list', 'remove']

export const secret: Command = {
  name: 'secret',
  summary: 'Store, list or remove the secrets that ${secret:name} stands for.',
  arguments: [
    { name: 'action', required: true },
    { name: 'name', required: false },
  ],
  details:
    'Actions: set, list, remove. The value is read from standard input and never shown. Secrets are kept\nencrypted in .lakeflow/secrets beside the configuration file, with their key; only you may read them.',
  examples: [
    { command: 'lakeflow secret set shop_password', what: 'Asks for the value.' },
    { command: 'pass show shop | lakeflow secret set shop_password', what: 'Takes it from another program.' },
    { command: 'lakeflow secret list', what: 'Names only.' },
  ],
  async run({ arguments: { action, name }, output, file }) {
    const secrets = secretsIn(dirname(file))
    if (!actions.includes(action!))
      throw new IngestError(
        'usage.invalid',
        `secret has ${actions.join(', ')}, got ${action}${didYouMean(action!, actions)}`,
      )
    if (action === 'list') {
      output.table(
        (await secrets.list()).map((known) => ({ name: known })),
        ['name'],
      )
      return 0
    }
    if (!name || !/^[\w.-]{1,100}$/.test(name))
      throw new IngestError(
        'usage.invalid',
        'a secret has a name of letters, digits, _, - and .; see lakeflow secret --help',
      )
    if (action === 'set') await secrets.put(name, await readValue(name))
    else await secrets.delete(name)
    output.line(action === 'set' ? `stored ${name}; use it as \${secret:${name}}` : `removed ${name}`)
    if (output.json) output.record({ secret: name, action })
    return 0
  },
}

/** One line from the terminal without showing it, or all of standard input. */
async function readValue(name: string): Promise<string> {
  if (process.stdin.isTTY) {
    process.stderr.write(`value of ${name}: `)
    const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
    const reader = createInterface({ input: process.stdin, output: silent, terminal: true })
    const value = await reader.question('')
    reader.close()
    process.stderr.write('\n')
    return notEmpty(value)
  }
  let text = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk
  return notEmpty(text.replace(/\r?\n$/, ''))
}

function notEmpty(value: string): string {
  if (value === '') throw new IngestError('usage.invalid', 'the value of the secret is empty')
  return value
}
