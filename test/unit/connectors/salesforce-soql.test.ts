import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Filter, Literal } from '../../../shared/connector/filter.ts'
import { matches } from '../../../shared/connector/match.ts'
import { idBorders } from '../../../shared/connectors/salesforce/pieces.ts'
import { filterSoql } from '../../../shared/connectors/salesforce/soql.ts'
import type { LogicalType } from '../../../shared/schema/types.ts'
import { parseSoql } from '../../fixtures/salesforce/soql.ts'

const types = { Id: 'id', N: 'double', S: 'string', B: 'boolean' }
const logical = new Map<string, LogicalType>([
  ['N', { kind: 'double' }],
  ['S', { kind: 'string' }],
  ['B', { kind: 'boolean' }],
])
const fields = new Map(Object.entries(types).map(([name, type]) => [name, { name, type, nillable: true }]))

const number = fc.integer({ min: -3, max: 3 }).map((value): Literal => ({ text: String(value), kind: 'number' }))
// In lower case: the org compares texts without regard to it, our own comparison with.
const word = fc.string({ unit: fc.constantFrom('a', 'b', "'", '\\', '\n', '"', ' '), maxLength: 3 })
const literal = fc.oneof(
  fc.record({ column: fc.constant('N'), value: number }),
  fc.record({ column: fc.constant('S'), value: word.map((text): Literal => ({ text, kind: 'string' })) }),
)
const comparison = literal.chain(({ column, value }) =>
  fc.constantFrom<Filter>(
    ...(['=', '!=', '<', '<=', '>', '>='] as const).map((op): Filter => ({ op, column, value })),
    { op: 'in', column, values: [value], negated: false },
    { op: 'in', column, values: [value], negated: true },
    { op: 'is null', column, negated: false },
    { op: 'is null', column, negated: true },
  ),
)
const filter = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { depthSize: 'small' },
    comparison,
    fc.record({ op: fc.constantFrom('and' as const, 'or' as const), terms: fc.array(tie('filter'), { maxLength: 3 }) }),
  ),
})).filter
const row = fc.record({
  Id: fc.constant('001'),
  N: fc.option(fc.integer({ min: -3, max: 3 })),
  // The org has no empty texts.
  S: fc.option(word.filter((text) => text !== '')),
  B: fc.option(fc.boolean()),
})

test('a filter finds the same rows in SOQL as it does here, nulls and quotes included', () => {
  fc.assert(
    fc.property(filter, row, (wanted, values) => {
      const query = parseSoql(`SELECT Id FROM X WHERE ${filterSoql(wanted, fields)}`, (_, name) => types[name as 'Id'])
      expect(query.matches(values)).toBe(matches(wanted, values, logical))
    }),
    { numRuns: Number(process.env.SOAK ?? 1) * 500 },
  )
})

test('borders cut the ids in order, whatever their number', () => {
  const id = fc.stringMatching(/^[0-9A-Za-z]{15}$/)
  fc.assert(
    fc.property(id, id, fc.integer({ min: 1, max: 20 }), (a, b, parts) => {
      const [first, last] = a < b ? [a, b] : [b, a]
      const borders = idBorders(`${first}AAA`, `${last}AAA`, parts)
      expect([...borders].sort()).toEqual(borders)
      expect(borders.every((border) => border > first! && border < last! && /^[0-9A-Za-z]{15}$/.test(border))).toBe(
        true,
      )
      expect(borders.length).toBeLessThan(parts)
    }),
  )
})
