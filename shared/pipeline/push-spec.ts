import * as z from 'zod'
import { asIngestError } from '../core/errors.ts'
import { parseTypeText } from '../schema/type-text.ts'
import type { LogicalType } from '../schema/types.ts'

const tableName = z
  .string()
  .regex(
    /^[A-Za-z0-9_]{1,128}(\.[A-Za-z0-9_]{1,128}){2}$/,
    'a table is catalog.schema.table, in ASCII letters, digits and _',
  )

/** `long not null`. @throws IngestError `config.invalid` (fix) for a type that is not known */
export function parseColumnText(text: string): { type: LogicalType; nullable: boolean } {
  const notNull = /\s+not\s+null\s*$/i
  return { type: parseTypeText(text.replace(notNull, '')), nullable: !notNull.test(text) }
}

const columnText = z
  .string()
  .min(1)
  .superRefine((text, context) => {
    try {
      parseColumnText(text)
    } catch (error) {
      context.addIssue({ code: 'custom', message: asIngestError(error).message })
    }
  })

const PushTable = z.strictObject({
  columns: z
    .record(z.string().min(1), columnText)
    .optional()
    .describe(
      'Names and types, `long`, `decimal(10,2)`, `array<string>`; ` not null` after a type. Made when missing.',
    ),
  on_reject: z
    .enum(['record', 'batch', 'rescue'])
    .optional()
    .describe('A record that does not fit: leave it out (default), refuse its batch, or keep unknown fields aside.'),
  schema_evolution: z
    .enum(['none', 'add_columns'])
    .optional()
    .describe('add_columns: a field without a column becomes a new column. Default none.'),
})

const quota = {
  bytes_per_second: z.int().min(1).optional().describe('Bytes a second, over all connections of the token.'),
  max_sessions: z.int().min(1).optional().describe('Sessions open at the same time.'),
}

/** The section `push` of `lakeflow.yml`: docs/protocol.md. */
export const PushSpec = z.strictObject({
  port: z.int().min(0).max(65535).optional().describe('Default 8480. 0 takes a free one.'),
  host: z.string().min(1).optional().describe('Address to listen on. Default 127.0.0.1.'),
  create_tables: z
    .boolean()
    .optional()
    .describe('Sessions may create tables that are not named here, from their first records. Default false.'),
  tables: z.record(tableName, PushTable).optional().describe('Tables that take events.'),
  tokens: z
    .record(
      z.string().min(1),
      z.strictObject({
        token: z.string().min(1).describe('${env:NAME}, ${file:path} or ${secret:name}.'),
        tables: z.array(z.string().min(1)).min(1).describe('Names or patterns: main.events.*'),
        actions: z
          .array(z.enum(['write', 'create']))
          .optional()
          .describe('Default write.'),
        ...quota,
      }),
    )
    .optional()
    .describe('Who may push, by name. Without any, one token is made and kept in the state folder.'),
  jwt: z
    .strictObject({
      issuer: z.string().min(1),
      audience: z.string().min(1),
      jwks_url: z.url().optional().describe("Where the issuer's keys are."),
      secret: z.string().min(32).optional().describe('A shared secret (HMAC) instead of keys.'),
      ...quota,
    })
    .optional()
    .describe('Tokens of an issuer. Their claim lakeflow_push says what they may do.'),
  flush_interval_ms: z
    .int()
    .min(100)
    .max(60_000)
    .optional()
    .describe('How long events wait for company. Default 1000.'),
})

export type PushSpec = z.infer<typeof PushSpec>
