import * as z from 'zod'

const days = z.number().int().min(1).max(3650)
const memoryMb = z.number().int().min(512).max(10_240)

/**
 * Everything a deployment can choose. Given as the context value `lakeflow` in cdk.json, or with
 * `-c lakeflow='{"stage":"prod"}'` on the command line. Each field says what it costs to change later.
 */
export const Settings = z
  .strictObject({
    stage: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,11}$/)
      .default('dev')
      .describe('Prefix of every name, so that several deployments share an account. Changing it deploys anew.'),
    connectors: z
      .array(z.string().regex(/^[a-z][a-z0-9-]*$/))
      .min(1)
      .default(['postgres'])
      .describe('Which connectors get Lambdas, by their name in the registry. Adding and removing is safe.'),
    catalog: z
      .string()
      .regex(/^[a-z][a-z0-9_]*$/)
      .default('main')
      .describe('The default catalog: first folder of the lakehouse and prefix of the Glue databases.'),
    schemas: z
      .array(z.string().regex(/^[a-z][a-z0-9_]*$/))
      .default([])
      .describe('Glue databases to create at once. Others are created when their first table is.'),
    architecture: z.enum(['arm64', 'x86_64']).default('arm64').describe('Of every Lambda. arm64 is a fifth cheaper.'),
    syncMemoryMb: memoryMb.default(1770).describe('Memory of connector Lambdas: 1,769 MB is one whole vCPU.'),
    mergeStorageMb: z
      .number()
      .int()
      .min(512)
      .max(10_240)
      .default(4096)
      .describe('Ephemeral disk of Lambdas that merge: where upserts spill.'),
    syncConcurrency: z
      .number()
      .int()
      .min(1)
      .max(1000)
      .default(10)
      .describe('Streams of one pipeline that run at a time. A pipeline may ask for fewer.'),
    scheduleWindowMinutes: z
      .number()
      .int()
      .min(0)
      .max(1440)
      .default(0)
      .describe(
        'Runs begin within so many minutes of their time, each at another moment, so that thousands on one hour do not start ' +
          'together. Taken over when the configuration is stored next.',
      ),
    vpc: z
      .strictObject({
        vpcId: z.string().startsWith('vpc-'),
        availabilityZones: z.array(z.string()).min(1),
        privateSubnetIds: z.array(z.string().startsWith('subnet-')).min(1),
        securityGroupId: z.string().startsWith('sg-'),
        connectors: z.array(z.string()).min(1),
      })
      .optional()
      .describe('Puts the named connectors into private subnets, to reach databases that have no public address.'),
    push: z
      .strictObject({
        memoryMb: memoryMb.default(1770).describe('Memory of the Lambdas that validate and write events.'),
        flushSeconds: z
          .number()
          .int()
          .min(1)
          .max(60)
          .default(2)
          .describe('How long events wait for company before they become a file. Longer: fewer, larger files.'),
        flushConcurrency: z
          .number()
          .int()
          .min(2)
          .max(1000)
          .default(20)
          .describe('Lambdas that write files at a time, over all tables: each takes some 80 MB/s of JSON.'),
        doorConcurrency: z
          .number()
          .int()
          .min(1)
          .optional()
          .describe(
            'Lambdas that receive at a time, for each door, reserved of the account. Without it a burst of producers may use all ' +
              'of them, and runs and commits wait for it to end.',
          ),
        logRole: z
          .boolean()
          .default(true)
          .describe(
            'Give API Gateway the role that WebSocket APIs need to write logs. It is one setting of the whole account and ' +
              'region: false where it is made elsewhere.',
          ),
      })
      .prefault({})
      .describe('Zerobus: events pushed over a WebSocket or HTTP.'),
    retention: z
      .strictObject({
        logsDays: days.default(30),
        accessLogsDays: days.default(90),
        oldVersionsDays: days.default(7),
        deadLettersDays: z.number().int().min(1).max(14).default(14),
      })
      .prefault({})
      .describe('How long logs, access logs, overwritten objects and dead letters are kept.'),
    alarmEmail: z.email().optional().describe('Gets every alarm. Without it alarms only show in the console.'),
    monthlyBudgetUsd: z
      .number()
      .positive()
      .optional()
      .describe('An AWS budget for everything tagged with this stage; warns at 80 % and on forecast.'),
    removeOnDestroy: z
      .boolean()
      .default(false)
      .describe('Also delete the data and state when the stacks are destroyed. For throw-away accounts only.'),
  })
  .describe('Deploy settings')

export type Settings = z.infer<typeof Settings>

/** Parses the settings; the error names each wrong field, what was got and what was wanted. */
export function parseSettings(input: unknown): Settings {
  const value = typeof input === 'string' ? JSON.parse(input) : (input ?? {})
  const result = Settings.safeParse(value)
  if (!result.success) throw new Error(`deploy settings are not valid:\n${z.prettifyError(result.error)}`)
  return result.data
}
