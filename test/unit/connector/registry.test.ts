import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { connectors } from '../../../shared/connectors/registry.ts'

const root = join(import.meta.dirname, '../../..')

test('every connector passes through the conformance suite', () => {
  const suites = globSync('test/**/*.test.ts', { cwd: root }).map((file) => readFileSync(join(root, file), 'utf8'))

  const untested = connectors.filter(({ name }) => !suites.some((text) => text.includes(`connectorContract('${name}'`)))

  expect(untested.map(({ name }) => name)).toEqual([])
})

test('every connector is in its own folder, under its name in camel case', async () => {
  for (const connector of connectors) {
    const { name } = connector
    const exported = name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
    const module = await import(join(root, `shared/connectors/${name}/${name}.ts`))
    expect(module[exported]).toBe(connector)
  }
})

test('every fact about a connector fits a cell of a table', () => {
  const facts = connectors.flatMap(({ about }) => Object.values(about).flat())

  expect(facts.filter((fact) => fact === '' || /[\n|]/.test(fact) || fact.endsWith('.'))).toEqual([])
})
