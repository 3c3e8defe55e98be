import { salesforceWorld } from '../fixtures/salesforce/world.ts'
import { connectorContract } from './connector.contract.ts'

connectorContract('salesforce', salesforceWorld, ['query', 'snapshot'])
connectorContract('salesforce in bulk', () => salesforceWorld({ bulk_threshold_rows: 0, bulk_chunk_rows: 12 }), [
  'query',
  'snapshot',
])
