import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { acmeDeskWorld } from '../fixtures/acme-desk/world.ts'
import { faultNames } from '../support/simulator/faults.ts'
import { connectorContract } from './connector.contract.ts'

/** The example of docs/adding-a-connector.md. */
connectorContract('acme-desk', acmeDeskWorld, ['query'], faultNames)

test('the page on adding a connector shows the example as it is', () => {
  const root = join(import.meta.dirname, '../..')
  const page = readFileSync(join(root, 'docs/adding-a-connector.md'), 'utf8')
  const code = readFileSync(join(root, 'test/fixtures/acme-desk/acme-desk.ts'), 'utf8')

  expect(page).toContain(`\`\`\`ts\n${code}\`\`\``)
})
