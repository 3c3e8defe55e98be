import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { connectors } from '../../../shared/connectors/registry.ts'

const root = join(import.meta.dirname, '../../..')

test('every connector passes through the conformance suite', () => {
  const suites = globSync('test/**/*.test.ts', { cwd: root }).map((file) => readFileSync(join(root, file), 'utf8'))

  const untested = connectors.filter(({ name }) => !suites.some((text) => text.includes(`connectorContract('${name}'`)))

  expect(untested.map(({ name }) => name)).toEqual([])
})

test('every connector is in its own folder and on the page of connectors', () => {
  const page = readFileSync(join(root, 'docs/connectors.md'), 'utf8')

  for (const { name } of connectors) {
    expect(existsSync(join(root, `shared/connectors/${name}/${name}.ts`))).toBe(true)
    expect(page).toContain(`| \`${name}\` |`)
  }
})
