import * as z from 'zod'

/** A connection to one MySQL or MariaDB server, or one that speaks their protocol and keeps their binary log. */
export const config = z.strictObject({
  host: z.string().min(1).meta({ description: 'Host name or address of the server.' }),
  port: z.coerce.number().int().min(1).max(65535).default(3306),
  database: z.string().min(1).optional().meta({
    description: 'Only this database is discovered. The same as `schemas` with one name.',
  }),
  user: z.string().min(1),
  password: z.string().default('').meta({ secret: true }),
  sslmode: z.enum(['disable', 'prefer', 'require', 'verify-ca', 'verify-full']).default('prefer').meta({
    description:
      '`prefer` encrypts when the server can, `require` always; neither checks who the server is. `verify-full` checks its certificate and name; use it across any network that is not yours.',
  }),
  sslrootcert: z.string().optional().meta({
    description: 'Certificate authorities to trust, as PEM text or the path of a PEM file. Default: those of Node.js.',
  }),
  schemas: z.array(z.string()).optional().meta({ description: 'Only these databases are discovered. Default: all.' }),
  cdc_position: z.enum(['gtid', 'file']).default('gtid').meta({
    description:
      'How a place in the binary log is kept: by global transaction identifiers where the server has them, so that another server can take over; or by file and offset of this one server.',
  }),
  connect_timeout_seconds: z.coerce.number().positive().default(15),
  cursor_lag_seconds: z.coerce.number().nonnegative().default(30).meta({
    description:
      'Query-based reads: rows younger than this are left to the next run while other transactions are open, and always when the user may not see them (it lacks PROCESS).',
  }),
  cursor_max_wait_seconds: z.coerce.number().positive().default(3600).meta({
    description:
      'Query-based reads stop before rows that an open transaction may still add. A transaction older than this is no longer waited for.',
  }),
})

export type MysqlConfig = z.output<typeof config>
