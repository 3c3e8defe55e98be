/**
 * `npm run replay -- --from <url of a dead-letter queue> --to <url of its queue>`: moves every message back, after what was
 * wrong has been mended. Nothing of push is stored twice by it. Also for what `aws sqs start-message-move-task` does, where
 * its permissions are missing.
 */
import { parseArgs } from 'node:util'
import { moveMessages } from '../shared/queue/sqs-move.ts'

const { values } = parseArgs({ options: { from: { type: 'string' }, to: { type: 'string' } } })
if (!values.from || !values.to) {
  console.error('usage: npm run replay -- --from <url of a dead-letter queue> --to <url of its queue>')
  process.exit(2)
}
console.log(`${await moveMessages(values.from, values.to)} messages moved`)
