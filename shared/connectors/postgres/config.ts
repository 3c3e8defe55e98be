import * as z from 'zod'

/** A connection to one PostgreSQL database. */
export const config = z.strictObject({
  host: z.string().min(1).meta({ description: 'Host name or address of the server.' }),
  port: z.coerce.number().int().min(1).max(65535).default(5432),
  database: z
    .string()
    .min(1)
    .meta({ description: 'Slots and publications belong to one database, so does a connection.' }),
  user: z.string().min(1),
  password: z.string().default('').meta({ secret: true }),
  sslmode: z.enum(['disable', 'prefer', 'require', 'verify-ca', 'verify-full']).default('prefer').meta({
    description:
      'As in libpq: `prefer` encrypts when the server can, `require` always; neither checks who the server is. `verify-full` checks its certificate and name; use it across any network that is not yours.',
  }),
  sslrootcert: z.string().optional().meta({
    description: 'Certificate authorities to trust, as PEM text or the path of a PEM file. Default: those of Node.js.',
  }),
  schemas: z.array(z.string()).optional().meta({ description: 'Only these schemas are discovered. Default: all.' }),
  unbounded_numeric: z
    .string()
    .regex(/^(string|double|decimal\(38,([0-9]|[12][0-9]|3[0-8])\))$/, 'must be string, double or decimal(38,s)')
    .default('string')
    .meta({
      description:
        'What a `numeric` without precision, or with more than 38 digits, becomes: `string` keeps every digit; `decimal(38,s)` sets aside rows that do not fit; `double` rounds.',
    }),
  cdc_transport: z.enum(['streaming', 'sql']).default('streaming').meta({
    description:
      'How the log is read: by the replication protocol, or with `sql` by ordinary queries, which also work through a connection proxy.',
  }),
  connect_timeout_seconds: z.coerce.number().positive().default(15),
  cursor_lag_seconds: z.coerce.number().nonnegative().default(30).meta({
    description:
      'Query-based reads, when the user may not see when other transactions began (it lacks pg_read_all_stats): rows younger than this are left to the next run, because an older one may still be committed.',
  }),
  cursor_max_wait_seconds: z.coerce.number().positive().default(3600).meta({
    description:
      'Query-based reads stop before rows that an open transaction may still add. A transaction older than this is no longer waited for.',
  }),
})

export type PostgresConfig = z.output<typeof config>
