import { IngestError } from '../core/errors.ts'

export interface Token {
  kind: 'word' | 'quoted name' | 'string' | 'number' | 'symbol' | 'end'
  /** Unquoted: the quotes are gone and doubled ones are single. */
  text: string
  /** Position in the filter's text, from 0. */
  start: number
}

const PATTERNS: readonly [Token['kind'], RegExp][] = [
  ['word', /[\p{L}_][\p{L}\p{N}_$]*/uy],
  ['number', /[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?/y],
  ['string', /'(?:[^']|'')*'/y],
  ['quoted name', /"(?:[^"]|"")*"|`(?:[^`]|``)*`/y],
  ['symbol', /<=|>=|<>|!=|==|[=<>(),.]/y],
]

/**
 * The words of a row filter, ending with one `end` token.
 *
 * @throws IngestError `config.invalid` (fix) at a character that starts nothing, or an open quote
 */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < text.length) {
    if (/\s/.test(text[at]!)) {
      at++
      continue
    }
    const token = tokenAt(text, at)
    tokens.push(token.token)
    at = token.end
  }
  tokens.push({ kind: 'end', text: '', start: text.length })
  return tokens
}

function tokenAt(text: string, start: number): { token: Token; end: number } {
  for (const [kind, pattern] of PATTERNS) {
    pattern.lastIndex = start
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) return { token: { kind, text: unquote(kind, found), start }, end: start + found.length }
  }
  const char = text[start]!
  const problem = /['"`]/.test(char) ? `the quote ${char} is never closed` : `${char} is not understood`
  throw new IngestError('config.invalid', `row filter, column ${start + 1}: ${problem}, in ${text.trim()}`)
}

function unquote(kind: Token['kind'], text: string): string {
  if (kind !== 'string' && kind !== 'quoted name') return text
  const quote = text[0]!
  return text.slice(1, -1).replaceAll(quote + quote, quote)
}
