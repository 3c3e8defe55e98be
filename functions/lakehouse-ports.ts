import { systemClock } from '../shared/core/clock.ts'
import { systemRandom } from '../shared/core/random.ts'
import { tableState } from './dynamodb.ts'
import type { LakehouseEnv } from './lakehouse-env.ts'
import { bucketStorage } from './s3.ts'

/** State and storage of this deployment. */
export const lakehousePorts = (env: LakehouseEnv) => ({
  storage: bucketStorage(env.LAKEHOUSE_BUCKET),
  state: tableState(env.STATE_TABLE),
  clock: systemClock,
  random: systemRandom,
})
