import type { Filter } from './filter.ts'

const OPPOSITE = { '=': '!=', '!=': '=', '<': '>=', '>=': '<', '>': '<=', '<=': '>' } as const

/** The filter of exactly the rows that another one does not take: those for which it is false, and those with a NULL in it. */
export function complement(filter: Filter): Filter {
  switch (filter.op) {
    case 'and':
    case 'or':
      return { op: filter.op === 'and' ? 'or' : 'and', terms: filter.terms.map(complement) }
    case 'is null':
      return { ...filter, negated: !filter.negated }
    case 'in':
    case 'like':
      return orNull({ ...filter, negated: !filter.negated })
    default:
      return orNull({ ...filter, op: OPPOSITE[filter.op] })
  }
}

const orNull = (filter: Extract<Filter, { column: string }>): Filter => ({
  op: 'or',
  terms: [filter, { op: 'is null', column: filter.column, negated: false }],
})
