import { jest } from '@jest/globals'
import { isLive, liveWorld } from '../fixtures/salesforce/live.ts'
import { salesforceWorld } from '../fixtures/salesforce/world.ts'
import { faultNames, tokenFault } from '../support/simulator/faults.ts'
import { connectorContract } from './connector.contract.ts'

if (isLive) jest.setTimeout(600_000)
const world = isLive ? liveWorld : salesforceWorld

const faults = isLive ? [] : [...faultNames, tokenFault]

connectorContract('salesforce', world, ['query', 'snapshot'], faults)
connectorContract(
  'salesforce in bulk',
  () => world({ bulk_threshold_rows: 0, bulk_chunk_rows: 12 }),
  ['query', 'snapshot'],
  faults,
)
