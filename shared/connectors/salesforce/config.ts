import * as z from 'zod'
import { httpOptions } from '../../connector/http/options.ts'

/** A connection to one Salesforce org. */
export const config = z
  .strictObject({
    auth: z.enum(['client_credentials', 'jwt_bearer', 'refresh_token']).default('client_credentials').meta({
      description:
        'The OAuth flow of the connected app: for a server the first two, for a user who consented the third.',
    }),
    login_url: z
      .url({ protocol: /^https?$/ })
      .default('https://login.salesforce.com')
      .meta({
        description:
          'Where tokens come from: `https://<my domain>.my.salesforce.com`, which `client_credentials` needs; `https://test.salesforce.com` for a sandbox.',
      }),
    client_id: z.string().min(1).meta({ description: 'Consumer key of the connected app.' }),
    client_secret: z.string().optional().meta({
      secret: true,
      description: 'Consumer secret: for `client_credentials`, and for `refresh_token` where the app asks for it.',
    }),
    username: z.string().optional().meta({ description: 'For `jwt_bearer`: the user that is acted for.' }),
    private_key: z.string().optional().meta({
      secret: true,
      description: 'For `jwt_bearer`: the PEM key whose certificate the connected app has.',
    }),
    refresh_token: z.string().optional().meta({ secret: true, description: 'For `refresh_token`.' }),
    api_version: z
      .string()
      .regex(/^\d{2,3}\.0$/, 'must be a version such as 62.0')
      .default('62.0')
      .meta({
        description: 'Pinned, so that answers do not change by themselves. `lakeflow check` warns of its retirement.',
      }),
    max_api_usage: z.coerce.number().min(0.01).max(1).default(0.8).meta({
      description:
        "Share of the org's daily API calls, whoever made them, at which reading stops with `source.quota_spent` and leaves the rest to others.",
    }),
    bulk_threshold_rows: z.coerce.number().int().nonnegative().default(20_000).meta({
      description: 'More rows than this are read by the Bulk API 2.0, fewer by REST queries. 0: always in bulk.',
    }),
    bulk_chunk_rows: z.coerce.number().int().positive().default(250_000).meta({
      description: 'About so many rows make one bulk job: a range of ids, or of time.',
    }),
    max_bulk_jobs: z.coerce.number().int().min(1).max(25).default(3).meta({
      description: 'Bulk jobs of this connection at the same time.',
    }),
    cursor_lag_seconds: z.coerce.number().nonnegative().default(10).meta({
      description: 'Rows younger than this are left to the next run.',
    }),
    lookback_seconds: z.coerce.number().nonnegative().default(600).meta({
      description:
        'A row gets its time when it is saved and is seen when its transaction ends, up to ten minutes later: so much is read again each run. Tables of `APPEND_ONLY` are not read again; for them rows wait this long.',
    }),
    formula_interval_seconds: z.coerce.number().nonnegative().default(86_400).meta({
      description:
        'Formula and roll-up fields change without their row: their columns alone are read again this often. 0: each run.',
    }),
    numbers: z.enum(['double', 'decimal']).default('double').meta({
      description: 'What number and percent fields become: `double`, or `decimal` with the digits of the field.',
    }),
    base64_fields: z.enum(['leave_out', 'read']).default('leave_out').meta({
      description: '`read` takes files and attachments, by one request a row.',
    }),
    ...httpOptions,
  })
  .superRefine((config, context) => {
    const missing = needs[config.auth].filter((name) => !config[name])
    for (const name of missing)
      context.addIssue({ code: 'custom', path: [name], message: `auth: ${config.auth} needs ${name}` })
  })

export type SalesforceConfig = z.output<typeof config>

const needs = {
  client_credentials: ['client_secret'],
  jwt_bearer: ['username', 'private_key'],
  refresh_token: ['refresh_token'],
} as const
