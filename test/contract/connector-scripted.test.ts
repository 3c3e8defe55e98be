import type { Connector } from '../../shared/connector/connector.ts'
import { remove, upsert } from '../../shared/core/change.ts'
import { ScriptedSource, scripted } from '../support/scripted-source.ts'
import { type ConnectorWorld, connectorContract } from './connector.contract.ts'

/** The suite itself, on a source in memory that is right: what fails here is the suite's fault. */
async function scriptedWorld(): Promise<ConnectorWorld> {
  const source = new ScriptedSource()
  const table = source.table('things', {
    fields: [
      { name: 'id', type: { kind: 'long' }, nullable: false },
      { name: 'name', type: { kind: 'string' }, nullable: true },
    ],
  })
  for (let id = 1; id <= 20; id++) table.history.push([upsert({ id: String(id), name: `n${id}` })])
  return {
    connector: scripted as unknown as Connector,
    settings: source,
    table: 'src.things',
    modes: ['cdc', 'snapshot'],
    broken: [],
    selection: () => ({}),
    async change(random, deletes) {
      const id = String(1 + (random % 40))
      const transaction = [
        upsert({ id, name: `v${random}` }),
        upsert({ id: String(1 + (random % 7)), name: `w${random}` }),
      ]
      table.history.push(deletes ? [...transaction, remove({ id: String(1 + (random % 20)) })] : transaction)
    },
    rows: async () =>
      [...ScriptedSource.rows(table).values()].map(({ row }) => ({ id: String(row.id), name: String(row.name) })),
    [Symbol.asyncDispose]: async () => {},
  }
}

connectorContract('scripted', scriptedWorld, ['cdc', 'snapshot'])
