import { expect, test } from '@jest/globals'
import { readSpec } from '../../../shared/pipeline/read-spec.ts'

const valid = `
lakehouse: ./lakehouse
connections:
  shop:
    type: postgres
    host: 127.0.0.1
pipelines:
  orders:
    schedule: { quartz_cron_expression: '0 0/15 * * * ?' }
    ingestion_definition:
      connection_name: shop
      objects:
        - table:
            source_schema: public
            source_table: orders
            destination_catalog: main
            destination_schema: shop
            table_configuration:
              include_columns: [id, total]
              row_filter: total > 0
`

/** The message of the refusal, a problem a line. */
function refusal(text: string): string[] {
  try {
    readSpec(text, 'lakeflow.yml')
  } catch (error) {
    expect(error).toMatchObject({ code: 'config.invalid' })
    return (error as Error).message.split('\n')
  }
  throw new Error('the text was accepted')
}

test('a valid file is read', () => {
  const { spec, notes } = readSpec(valid, 'lakeflow.yml')

  expect(spec.pipelines!.orders!.ingestion_definition.objects[0]!.table!.source_table).toBe('orders')
  expect(notes).toEqual([])
})

test.each([
  [
    'connection_name',
    'conection_name',
    [
      'lakeflow.yml:11: unknown key conection_name in pipelines.orders.ingestion_definition; did you mean connection_name?',
    ],
  ],
  [
    'include_columns',
    'inlcude_columns',
    [
      'lakeflow.yml:19: unknown key inlcude_columns in pipelines.orders.ingestion_definition.objects[0].table.table_configuration; did you mean include_columns?',
    ],
  ],
  ['pipelines:', 'piplines:', ['lakeflow.yml:7: unknown key piplines; did you mean pipelines?']],
  [
    '[id, total]',
    'id',
    [
      'lakeflow.yml:19: pipelines.orders.ingestion_definition.objects[0].table.table_configuration.include_columns: wanted a list, got text',
    ],
  ],
  [
    'connection_name: shop',
    'connection_name: shoop',
    ['lakeflow.yml:11: there is no connection shoop; did you mean shop?'],
  ],
  [
    'total > 0',
    'total >> 0',
    ["lakeflow.yml:20: row filter, column 8: expected a number, a 'text', TRUE or FALSE, found >, in total >> 0"],
  ],
  [
    'source_table: orders',
    'source_table:',
    [
      'lakeflow.yml:15: pipelines.orders.ingestion_definition.objects[0].table.source_table: wanted text, got nothing (is there a value after the colon?)',
    ],
  ],
  [
    'row_filter: total > 0',
    'exclude_columns: [id]',
    [
      'lakeflow.yml:20: pipelines.orders.ingestion_definition.objects[0].table.table_configuration.exclude_columns: use include_columns or exclude_columns, not both',
    ],
  ],
  [
    'row_filter: total > 0',
    'scd_type: SCD_TYPE2',
    [
      'lakeflow.yml:20: pipelines.orders.ingestion_definition.objects[0].table.table_configuration.scd_type: wanted one of SCD_TYPE_1, SCD_TYPE_2, APPEND_ONLY, got SCD_TYPE2; did you mean SCD_TYPE_2?',
    ],
  ],
  [
    '        - table:',
    '        - tabel:',
    ['lakeflow.yml:13: unknown key tabel in pipelines.orders.ingestion_definition.objects[0]; did you mean table?'],
  ],
])('%s written as %s is refused with its line', (right, wrong, expected) => {
  expect(refusal(valid.replace(right, wrong))).toEqual(expected)
})

test('a drift policy is checked key by key, with the nearest word', () => {
  const policy = (text: string) => valid.replace('row_filter: total > 0', `schema_drift: ${text}`)

  expect(
    readSpec(policy('{ columns: freeze, data_type: discard_value, backfill: true }'), 'lakeflow.yml').notes,
  ).toEqual([])
  expect(refusal(policy('{ column: freeze }'))[0]).toMatch(/unknown key column.*did you mean columns\?/)
  expect(refusal(policy('{ columns: freez }'))[0]).toMatch(/wanted one of evolve, freeze, .*did you mean freeze\?/)
})

test('text that is not YAML is refused with its line', () => {
  expect(refusal('lakehouse: x\npipelines: [')[0]).toMatch(/^lakeflow\.yml:2: /)
  expect(refusal('lakehouse: x\nlakehouse: y')).toEqual(['lakeflow.yml:2: map keys must be unique'])
})

test('a bundle field without meaning here is accepted with a note and its line', () => {
  const text = valid.replace('      objects:', "      ingestion_gateway_id: 'abc'\n      objects:")

  const { notes } = readSpec(text, 'lakeflow.yml')

  expect(notes).toEqual([
    'lakeflow.yml:12: ingestion_gateway_id has no effect here: one pipeline extracts and applies, there is no gateway',
  ])
})

test('an object is exactly one of schema, table and report', () => {
  const text = valid.replace('        - table:', '        - schema: { source_schema: a }\n          table:')

  expect(refusal(text)[0]).toContain('an object is one of schema, table or report, got more than one')
})

test('a column type of a pushed table that is not known is told with its line', () => {
  const text = `${valid}push:
  tables:
    main.events.clicks:
      columns: { id: long not null, at: timestmp, tags: 'array<string> not null' }
`

  expect(refusal(text)).toEqual([
    expect.stringMatching(/^lakeflow\.yml:\d+: push\.tables.*\.columns\.at: "timestmp" is not a column type/),
  ])
})
