import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectors } from '../shared/connectors/registry.ts'
import { specJsonSchema } from '../shared/control/json-schema.ts'
import { connectorDocs } from './connector-docs.ts'
import { runbook } from './runbook.ts'

const root = join(import.meta.dirname, '..')

/** Pages that follow from the code, by path. A test compares them with what is committed. */
export const generatedDocs: Readonly<Record<string, () => string>> = {
  'docs/runbook.md': () => runbook(readFileSync(join(root, 'shared/core/errors.ts'), 'utf8')),
  'docs/connectors.md': () => connectorDocs(connectors, (name) => existsSync(join(root, `docs/connectors/${name}.md`))),
  'docs/lakeflow.schema.json': () => `${JSON.stringify(specJsonSchema(connectors), null, 2)}\n`,
}

if (import.meta.main) {
  // With --check nothing is written, and the exit code tells whether all pages are current.
  const check = process.argv.includes('--check')
  for (const [path, text] of Object.entries(generatedDocs)) {
    if (!check) writeFileSync(join(root, path), text())
    else if (readFileSync(join(root, path), 'utf8') !== text()) {
      console.error(`${path} is not what the code says: run npm run docs`)
      process.exitCode = 1
    }
  }
}
