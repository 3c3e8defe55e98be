import type { Filter, Literal } from '../connector/filter.ts'
import { IngestError } from '../core/errors.ts'
import { type Token, tokenize } from './row-filter-tokens.ts'

/**
 * Parses a `row_filter`: comparisons of a column with a literal, IN, BETWEEN, LIKE and IS NULL, joined by AND, OR, NOT and
 * parentheses. NOT is carried down to the comparisons, which is the same under SQL's three-valued logic.
 * Column names are taken as written; `"a b"` and `` `a b` `` quote one.
 *
 * @throws IngestError `config.invalid` (fix), with the column position in the text
 */
export function parseRowFilter(text: string): Filter {
  const parser = new Parser(text, tokenize(text))
  const filter = parser.or(0)
  parser.end()
  return filter
}

/** The filter with every column's name replaced. */
export function renameColumns(filter: Filter, rename: (column: string) => string): Filter {
  if ('terms' in filter) return { ...filter, terms: filter.terms.map((term) => renameColumns(term, rename)) }
  return { ...filter, column: rename(filter.column) }
}

const COMPARISONS = { '=': '=', '==': '=', '!=': '!=', '<>': '!=', '<': '<', '<=': '<=', '>': '>', '>=': '>=' } as const
const NEGATED = { '=': '!=', '!=': '=', '<': '>=', '<=': '>', '>': '<=', '>=': '<' } as const
const MIRRORED = { '=': '=', '!=': '!=', '<': '>', '<=': '>=', '>': '<', '>=': '<=' } as const
type Comparison = keyof typeof NEGATED
const MAX_DEPTH = 100

class Parser {
  readonly #text: string
  readonly #tokens: readonly Token[]
  #next = 0

  constructor(text: string, tokens: readonly Token[]) {
    this.#text = text
    this.#tokens = tokens
  }

  or(depth: number): Filter {
    if (depth > MAX_DEPTH) throw this.#error(`conditions are nested more than ${MAX_DEPTH} deep`)
    return this.#joined('or', () => this.#joined('and', () => this.#unary(depth)))
  }

  end(): void {
    if (this.#peek().kind !== 'end') throw this.#error(`expected AND, OR or the end, found ${this.#found()}`)
  }

  #joined(op: 'and' | 'or', part: () => Filter): Filter {
    const terms = [part()]
    while (this.#word(op)) terms.push(part())
    return terms.length === 1 ? terms[0]! : { op, terms }
  }

  #unary(depth: number): Filter {
    if (this.#word('not')) return negate(this.#unary(depth))
    if (this.#symbol('(')) {
      const inner = this.or(depth + 1)
      if (!this.#symbol(')')) throw this.#error(`expected ), found ${this.#found()}`)
      return inner
    }
    return this.#predicate()
  }

  #predicate(): Filter {
    const first = this.#peek()
    if (isLiteral(first)) {
      const value = this.#literal()
      const op = this.#comparison('a comparison')
      return { op: MIRRORED[op], column: this.#column(), value }
    }
    const column = this.#column()
    if (this.#word('is')) {
      const negated = this.#word('not')
      if (!this.#word('null'))
        throw this.#error(`expected NULL after IS${negated ? ' NOT' : ''}, found ${this.#found()}`)
      return { op: 'is null', column, negated }
    }
    const negated = this.#word('not')
    if (this.#word('in')) return { op: 'in', column, values: this.#list(), negated }
    if (this.#word('like')) return { op: 'like', column, pattern: this.#pattern(), negated }
    if (this.#word('between')) {
      const low = this.#literal()
      if (!this.#word('and')) throw this.#error(`expected AND inside BETWEEN, found ${this.#found()}`)
      const between: Filter = {
        op: 'and',
        terms: [
          { op: '>=', column, value: low },
          { op: '<=', column, value: this.#literal() },
        ],
      }
      return negated ? negate(between) : between
    }
    if (negated) throw this.#error(`expected IN, LIKE or BETWEEN after NOT, found ${this.#found()}`)
    const op = this.#comparison('=, !=, <, <=, >, >=, IN, LIKE, BETWEEN or IS')
    return { op, column, value: this.#literal() }
  }

  #comparison(wanted: string): Comparison {
    const token = this.#peek()
    const op = token.kind === 'symbol' ? COMPARISONS[token.text as keyof typeof COMPARISONS] : undefined
    if (!op) throw this.#error(`expected ${wanted}, found ${this.#found()}`)
    this.#next++
    return op
  }

  #column(): string {
    const token = this.#peek()
    if (token.kind === 'quoted name' || (token.kind === 'word' && !RESERVED.has(token.text.toLowerCase()))) {
      this.#next++
      const next = this.#peek()
      if (next.kind === 'symbol' && next.text === '.')
        throw this.#error('a column is named without its table; quote a name that holds a dot')
      if (next.kind === 'symbol' && next.text === '(')
        throw this.#error('functions cannot be pushed down to the source')
      return token.text
    }
    throw this.#error(`expected a column, found ${this.#found()}`)
  }

  #literal(): Literal {
    // DATE '2024-01-31' and TIMESTAMP '...' are the text they quote.
    if (
      ['date', 'timestamp'].includes(this.#peek().text.toLowerCase()) &&
      this.#tokens[this.#next + 1]?.kind === 'string'
    )
      this.#next++
    const token = this.#peek()
    if (!isLiteral(token)) {
      if (token.kind === 'word' && token.text.toLowerCase() === 'null')
        throw this.#error('nothing equals NULL; write IS NULL or IS NOT NULL')
      throw this.#error(`expected a number, a 'text', TRUE or FALSE, found ${this.#found()}`)
    }
    this.#next++
    if (token.kind === 'word') return { text: token.text.toLowerCase(), kind: 'boolean' }
    return { text: token.text, kind: token.kind as 'string' | 'number' }
  }

  #list(): Literal[] {
    if (!this.#symbol('(')) throw this.#error(`expected ( after IN, found ${this.#found()}`)
    const values = [this.#literal()]
    while (this.#symbol(',')) values.push(this.#literal())
    if (!this.#symbol(')')) throw this.#error(`expected , or ) in the list, found ${this.#found()}`)
    return values
  }

  #pattern(): string {
    const pattern = this.#literal()
    if (pattern.kind !== 'string') throw this.#error("LIKE needs a 'pattern'")
    if (!this.#word('escape')) return pattern.text
    const escaper = this.#literal().text
    if (escaper.length !== 1) throw this.#error('ESCAPE needs one character')
    return withBackslash(pattern.text, escaper)
  }

  #word(word: string): boolean {
    const token = this.#peek()
    if (token.kind !== 'word' || token.text.toLowerCase() !== word) return false
    this.#next++
    return true
  }

  #symbol(symbol: string): boolean {
    const token = this.#peek()
    if (token.kind !== 'symbol' || token.text !== symbol) return false
    this.#next++
    return true
  }

  #peek(): Token {
    return this.#tokens[this.#next]!
  }

  #found(): string {
    const token = this.#peek()
    return token.kind === 'end' ? 'the end' : token.kind === 'string' ? `'${token.text}'` : token.text
  }

  #error(message: string): IngestError {
    const column = this.#peek().start + 1
    return new IngestError('config.invalid', `row filter, column ${column}: ${message}, in ${this.#text.trim()}`)
  }
}

const RESERVED = new Set(['and', 'or', 'not', 'in', 'like', 'is', 'null', 'between', 'escape', 'true', 'false'])

const isLiteral = (token: Token) =>
  token.kind === 'string' || token.kind === 'number' || (token.kind === 'word' && /^(true|false)$/i.test(token.text))

function negate(filter: Filter): Filter {
  switch (filter.op) {
    case 'and':
    case 'or':
      return { op: filter.op === 'and' ? 'or' : 'and', terms: filter.terms.map(negate) }
    case 'in':
    case 'like':
    case 'is null':
      return { ...filter, negated: !filter.negated }
    default:
      return { ...filter, op: NEGATED[filter.op] }
  }
}

/** Every connector's LIKE escapes with a backslash. */
function withBackslash(pattern: string, escaper: string): string {
  let result = ''
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i]!
    if (char === escaper) result += `\\${pattern[++i] ?? ''}`
    else result += char === '\\' ? '\\\\' : char
  }
  return result
}
