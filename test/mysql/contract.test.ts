import { jest } from '@jest/globals'
import { connectorContract } from '../contract/connector.contract.ts'
import { mysqlWorld } from '../fixtures/mysql/world.ts'

jest.setTimeout(120_000)

const modes = ['cdc', 'query', 'snapshot'] as const

connectorContract('mysql', mysqlWorld(modes), modes)
for (const cdc_position of ['gtid', 'file'])
  connectorContract(
    `mysql, one read of the log for its tables, places by ${cdc_position}`,
    mysqlWorld(['cdc'], { shares: true, cdc_position }),
    ['cdc'],
  )
