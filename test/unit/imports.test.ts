import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from '@jest/globals'

const root = join(import.meta.dirname, '../..')
const files = globSync('{shared,functions,local,infra,sdk}/**/*.ts', { cwd: root }).filter(
  (file) => !file.includes('node_modules') && !file.startsWith('shared/columnar/kernel/'),
)

/** What each folder of shared/ may import besides itself: docs/architecture.md, "Layout". */
const mayImport: Record<string, readonly string[]> = {
  core: [],
  schema: ['core'],
  columnar: ['core', 'schema'],
  storage: ['core'],
  state: ['core'],
  queue: ['core', 'storage'],
  secrets: ['core', 'storage'],
  delta: ['core', 'schema', 'columnar', 'storage'],
  load: ['core', 'schema', 'columnar', 'storage', 'state', 'delta'],
  connector: ['core', 'schema'],
  connectors: ['core', 'schema', 'connector'],
  pipeline: ['core', 'schema', 'connector'],
  sync: ['core', 'schema', 'columnar', 'storage', 'state', 'delta', 'load', 'connector', 'pipeline'],
  push: ['core', 'schema', 'columnar', 'storage', 'state', 'queue', 'delta', 'load'],
  catalog: ['core', 'schema', 'storage', 'delta'],
  control: [
    'core',
    'schema',
    'columnar',
    'storage',
    'state',
    'queue',
    'delta',
    'load',
    'connector',
    'connectors',
    'pipeline',
    'sync',
    'push',
    'catalog',
    'secrets',
  ],
  runtime: ['core', 'schema', 'state', 'storage', 'queue', 'secrets'],
}

const imports = files.flatMap((file) =>
  [...readFileSync(join(root, file), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => ({
    file,
    target: match[1]!.startsWith('.') ? normalize(join(dirname(file), match[1]!)) : match[1]!,
  })),
)

const layerOf = (path: string) => (path.startsWith('shared/') ? path.split('/')[1]! : undefined)
const adapters =
  /\/(s3|s3-writer|disk|memory|dynamodb|sqlite|sqs|sqs-move|api-gateway|glue|scheduler|step-functions|lambda|secrets-manager|ssm|sns)\.ts$/

test('zod is imported as a namespace, or bundles carry all of its languages', () => {
  const whole = files.filter((file) => /^import \{ z \} from 'zod'/m.test(readFileSync(join(root, file), 'utf8')))

  expect(whole).toEqual([])
})

test('a folder of shared/ imports only what stands to its left', () => {
  const breaches = imports.filter(({ file, target }) => {
    const from = layerOf(file)
    if (!from || !/^(shared|functions|local|infra|sdk|test|bench)\//.test(target)) return false
    const to = layerOf(target)
    return to === undefined || (to !== from && !mayImport[from]?.includes(to))
  })

  expect(breaches).toEqual([])
})

test('only adapters import an AWS SDK, only infra imports the CDK', () => {
  const breaches = imports.filter(
    ({ file, target }) =>
      (target.startsWith('@aws-sdk/') && !adapters.test(file)) ||
      (target.startsWith('aws-cdk-lib') && !file.startsWith('infra/')),
  )

  expect(breaches).toEqual([])
})

test('only connectors import a database driver', () => {
  const drivers = /^(pg|pg-copy-streams|mysql2|tedious|oracledb)(\/|$)/

  const breaches = imports.filter(
    ({ file, target }) => drivers.test(target) && !/^(shared\/connectors|local)\//.test(file),
  )

  expect(breaches).toEqual([])
})

test('adapters are imported by handlers and local/ only', () => {
  const breaches = imports.filter(
    ({ file, target }) => adapters.test(target) && file.startsWith('shared/') && !adapters.test(file),
  )

  expect(breaches).toEqual([])
})

test('a connector imports no other connector, and only the registry imports connectors', () => {
  const connectorOf = (path: string) => /^shared\/connectors\/([^/]+)\//.exec(path)?.[1]

  const breaches = imports.filter(({ file, target }) => {
    const to = connectorOf(target)
    return (
      to !== undefined &&
      file.startsWith('shared/') &&
      connectorOf(file) !== to &&
      file !== 'shared/connectors/registry.ts'
    )
  })

  expect(breaches).toEqual([])
})

test('there are no barrels and no grab bags', () => {
  const breaches = files.filter(
    (file) =>
      /\/(utils?|helpers?|common|misc)(\.ts$|\/)/.test(file) || (/\/index\.ts$/.test(file) && !file.startsWith('sdk/')),
  )

  expect(breaches).toEqual([])
})
