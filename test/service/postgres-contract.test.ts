import { jest } from '@jest/globals'
import { connectorContract } from '../contract/connector.contract.ts'
import { postgresWorld } from '../fixtures/postgres/world.ts'

jest.setTimeout(120_000)

connectorContract('postgres', postgresWorld, ['cdc', 'query', 'snapshot'])
connectorContract('postgres, one read of the log for its tables', () => postgresWorld({ shares: true }), ['cdc'])
