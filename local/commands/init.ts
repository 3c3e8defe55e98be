import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { IngestError } from '../../shared/core/errors.ts'
import type { Command } from '../command.ts'

export const init: Command = {
  name: 'init',
  summary: 'Write a commented lakeflow.yml to start from.',
  details: 'An existing file is never overwritten.',
  examples: [
    { command: 'lakeflow init', what: 'Writes ./lakeflow.yml.' },
    { command: 'lakeflow init -f shop/lakeflow.yml', what: 'Writes it somewhere else.' },
  ],
  async run({ output, options, file, folder }) {
    const target = options.text('file') === undefined ? join(folder, 'lakeflow.yml') : file
    if (existsSync(target))
      throw new IngestError('usage.invalid', `${target} exists and is left as it is; -f names another`)
    try {
      await mkdir(dirname(target), { recursive: true })
      await writeFile(target, exampleSpec(dirname(target)), { flag: 'wx' })
    } catch (cause) {
      throw new IngestError('storage.permission_denied', `${target} cannot be written: ${(cause as Error).message}`, {
        cause,
      })
    }
    output.line(`wrote ${relative(folder, target) || target}`)
    output.line()
    output.line('Fill in the connection, then:')
    output.line('  npx lakeflow check      can we connect, with which rights, what is missing')
    output.line('  npx lakeflow run shop   copy, and copy only what changed from then on')
    if (output.json) output.record({ file: target })
    return 0
  },
}

/** The commented file. Editors complete it by the schema its first line names. */
export function exampleSpec(folder: string): string {
  const schema = join(import.meta.dirname, '../../docs/lakeflow.schema.json')
  const path = relative(folder, schema)
  const address = path.startsWith('..') ? pathToFileURL(schema).href : path
  return `# yaml-language-server: $schema=${address}
# What is copied from where to where. Every field: docs/lakeflow.schema.json, or completion in an editor.

# Where the Delta tables live: a folder, relative to this file, or s3://bucket/prefix.
lakehouse: ./lakehouse

# Address and credentials of each source. Secrets stay out of this file:
#   \${env:NAME}      an environment variable
#   \${file:path}     the text of a file
#   \${secret:name}   stored with: npx lakeflow secret set name
connections:
  shop_db:
    type: postgres
    host: 127.0.0.1
    port: 5432
    database: shop
    user: postgres
    password: \${env:SHOP_PASSWORD}

pipelines:
  shop:
    # When \`lakeflow start\` runs it: as cron (quartz_cron_expression, timezone_id) or as a period.
    trigger:
      periodic: { interval: 5, unit: MINUTES }

    # Databricks' own ingestion_definition, field for field.
    ingestion_definition:
      connection_name: shop_db
      objects:
        # A whole schema, with the tables made in it later.
        - schema:
            source_schema: public
            destination_catalog: main
            destination_schema: shop

        # One table, told apart from the rest of its schema.
        # - table:
        #     source_schema: public
        #     source_table: orders
        #     destination_catalog: main
        #     destination_schema: shop
        #     destination_table: paid_orders
        #     table_configuration:
        #       scd_type: SCD_TYPE_2                # every version of a row; SCD_TYPE_1 and APPEND_ONLY are the others
        #       primary_keys: [id]                  # default: the source's own key
        #       exclude_columns: [internal_note]    # or include_columns
        #       row_filter: state IN ('paid', 'sent') AND total > 0
        #       query_based_connector_config:
        #         cursor_columns: [updated_at]
`
}
