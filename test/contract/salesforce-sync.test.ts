import { expect, test } from '@jest/globals'
import type { Connector } from '../../shared/connector/connector.ts'
import { salesforce } from '../../shared/connectors/salesforce/salesforce.ts'
import { defineThings, thing } from '../fixtures/salesforce/corpus.ts'
import { simulatedOrg } from '../fixtures/salesforce/world.ts'
import { tableRows } from '../support/read-table.ts'
import { hurriedClock, passingFaults } from '../support/simulator/faults.ts'
import { syncSource } from '../support/sync-source.ts'

const source = { source_schema: 'objects', source_table: 'Thing__c' }
const destination = { destination_catalog: 'main', destination_schema: 'crm', destination_table: 'things' }

test.each([
  ['REST', {}],
  ['bulk', { bulk_threshold_rows: 0, bulk_chunk_rows: 60 }],
])(
  'by %s a table holds the values of its object through changes, deletes, formulas and a lost delete log',
  async (_, how) => {
    await using world = await simulatedOrg({ formula_interval_seconds: 3_600, ...how })
    const { simulator, org } = world
    const things = defineThings(org.store)
    for (let number = 1; number <= 200; number++) org.store.insert(things, thing(number))
    simulator.pass(3_600_000)
    org.rules.pageRows = 50
    await using sync = await syncSource(
      salesforce as Connector,
      world.settings,
      [{ table: { ...source, ...destination } }],
      hurriedClock,
    )
    const ids = [...things.rows.keys()]
    const settle = async () => {
      const { state, streams } = await sync.run()
      expect({ state, error: streams[0]?.error, rejected: streams[0]?.rejected }).toMatchObject({
        state: 'COMPLETED',
        rejected: 0,
      })
    }
    const compare = async () => {
      const rows = await tableRows(sync.storage, 'main/crm/things')
      const wanted = [...things.rows.values()].filter((row) => !row.IsDeleted)
      const formula = things.fields.find(({ name }) => name === 'Doubled__c')!.formula!
      const byId = (list: Record<string, unknown>[]) => list.sort((a, b) => (String(a.Id) < String(b.Id) ? -1 : 1))
      expect(byId(rows.map(plain))).toEqual(
        byId(
          wanted.map((row) => {
            const { Home__c: _, Spot__c: __, ...values } = row
            return plain({ ...values, Doubled__c: formula(row, 0) })
          }),
        ),
      )
    }

    await settle()
    await compare()
    for (const id of ids.slice(0, 20)) org.store.update(things, id, thing(Number.parseInt(id.slice(8, 15), 36) % 97))
    for (const id of ids.slice(20, 30)) org.store.remove(things, id)
    for (const id of ids.slice(30, 40)) org.store.erase(things, id)
    for (let number = 300; number < 310; number++) org.store.insert(things, thing(number))
    simulator.pass(600_000)
    passingFaults(simulator, () => org.revoke())['bodies that lack their end']!()
    await settle()
    await compare()
    things.fields.find(({ name }) => name === 'Doubled__c')!.formula = (row) => Number(row.Amount__c) * 4
    simulator.pass(7_200_000)
    await settle()
    await compare()
    for (const id of ids.slice(40, 50)) org.store.erase(things, id)
    simulator.pass(20 * 86_400_000)
    await settle()
    await compare()
  },
)

/** Values as JSON has them: moments as text, numbers as numbers, an empty text as none. */
function plain(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => {
      if (value === undefined || value === null || value === '') return [name, null]
      if (typeof value === 'bigint') return [name, Number(value)]
      if (value instanceof Date)
        return [name, name === 'Closes__c' ? value.toISOString().slice(0, 10) : value.toISOString()]
      return [name, typeof value === 'string' && value.endsWith('.000+0000') ? value.replace('+0000', 'Z') : value]
    }),
  )
}
