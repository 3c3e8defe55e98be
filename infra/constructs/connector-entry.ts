import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/**
 * Writes the entry of one connector's bundle, so that it carries this connector's code and driver and no other's. A
 * connector's export is its name in camel case, in shared/connectors/<name>/<name>.ts.
 */
export function connectorEntry(connector: string, folder: string, factory: string): string {
  const exported = connector.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
  const file = join(root, 'cdk.out/entries', `${folder}-${connector}.ts`)
  mkdirSync(join(root, 'cdk.out/entries'), { recursive: true })
  writeFileSync(
    file,
    [
      `import { ${factory} } from '../../functions/${folder}/handler.ts'`,
      `import { ${exported} } from '../../shared/connectors/${connector}/${connector}.ts'`,
      '',
      `export const handler = ${factory}(${exported})`,
      '',
    ].join('\n'),
  )
  return file
}
