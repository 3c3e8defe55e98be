import { checkConnection } from '../../shared/control/connections.ts'
import { connectionNamed } from '../../shared/control/project.ts'
import type { Command } from '../command.ts'

export const check: Command = {
  name: 'check',
  summary: 'Can we connect, with which rights, and what is missing.',
  arguments: [{ name: 'connection', required: false }],
  details: 'Without a connection, all of them. Nothing is written to the source.',
  examples: [
    { command: 'lakeflow check', what: 'Every connection.' },
    { command: 'lakeflow check shop_db', what: 'One of them.' },
  ],
  async run({ arguments: { connection }, output, open, signal }) {
    const project = await open()
    if (connection !== undefined) connectionNamed(project, connection)
    const names = connection === undefined ? Object.keys(project.spec.connections ?? {}) : [connection]
    if (names.length === 0) output.note(`${project.text.file} has no connections`)
    let failed = false
    for (const name of names) {
      const results = await checkConnection(project, name, signal)
      output.line(`${name} (${connectionNamed(project, name).type})`)
      for (const { requirement, met, detail, advice } of results) {
        failed ||= !met && !advice
        output.line(`  ${met ? 'ok    ' : advice ? 'advice' : 'FAILED'}  ${requirement}: ${detail}`)
        if (output.json) output.record({ connection: name, requirement, met, detail, ...(advice && { advice }) })
      }
    }
    return failed ? 1 : 0
  },
}
