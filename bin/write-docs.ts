import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectors } from '../shared/connectors/registry.ts'
import { specJsonSchema } from '../shared/control/json-schema.ts'
import { runbook } from './runbook.ts'

const root = join(import.meta.dirname, '..')

/** Pages that follow from the code, by path. A test compares them with what is committed. */
export const generatedDocs: Readonly<Record<string, () => string>> = {
  'docs/runbook.md': () => runbook(readFileSync(join(root, 'shared/core/errors.ts'), 'utf8')),
  'docs/lakeflow.schema.json': () => `${JSON.stringify(specJsonSchema(connectors), null, 2)}\n`,
}

if (import.meta.main) for (const [path, text] of Object.entries(generatedDocs)) writeFileSync(join(root, path), text())
