/** One table, as a statement may name it. */
export interface TableName {
  schema: string
  name: string
}

export interface Token {
  kind: 'word' | 'name' | 'string' | 'sign'
  text: string
  /** Lower case; empty unless it is a word without quotes. */
  word: string
}

/** The words of a statement, one after the other. Comments are left out, except those that the server runs. */
export class Words {
  readonly #tokens: Token[]
  readonly #database: string
  #at = 0

  constructor(sql: string, database: string) {
    this.#tokens = tokens(sql)
    this.#database = database
  }

  word(): string {
    return this.#tokens[this.#at++]?.word ?? ''
  }

  /** Passes over these words if they come next. */
  skip(...words: string[]): boolean {
    if (!words.every((word, index) => this.#tokens[this.#at + index]?.word === word)) return false
    this.#at += words.length
    return true
  }

  take(sign: string): boolean {
    if (this.#tokens[this.#at]?.text !== sign) return false
    this.#at++
    return true
  }

  name(): string {
    return this.#tokens[this.#at++]?.text ?? ''
  }

  /** `name` or `schema.name`. */
  table(): TableName {
    const first = this.name()
    return this.take('.') ? { schema: first, name: this.name() } : { schema: this.#database, name: first }
  }

  /** What is left, cut at the commas that are in no parentheses. */
  clauses(): Token[][] {
    return splitByComma(this.#tokens.slice(this.#at))
  }
}

export function splitByComma(tokens: readonly Token[]): Token[][] {
  const parts: Token[][] = [[]]
  let depth = 0
  for (const token of tokens) {
    if (token.kind === 'sign' && token.text === '(') depth++
    if (token.kind === 'sign' && token.text === ')') depth--
    if (token.kind === 'sign' && token.text === ',' && depth === 0) parts.push([])
    else parts.at(-1)!.push(token)
  }
  return parts
}

const pattern =
  /\/\*M?!\d*|\*\/|\/\*[\s\S]*?\*\/|#[^\n]*|--[\s][^\n]*|`((?:[^`]|``)*)`|'((?:[^'\\]|''|\\[\s\S])*)'|"((?:[^"\\]|""|\\[\s\S])*)"|([\w$\u0080-\uffff]+)|(\S)/g

function tokens(sql: string): Token[] {
  const found: Token[] = []
  for (const [, name, single, double, word, sign] of sql.matchAll(pattern)) {
    const string = single ?? double
    if (name !== undefined) found.push({ kind: 'name', text: name.replaceAll('``', '`'), word: '' })
    else if (string !== undefined)
      found.push({
        kind: 'string',
        text: string.replace(/''|""|\\([\s\S])/g, (two, letter) => letter ?? two[0]),
        word: '',
      })
    else if (word !== undefined) found.push({ kind: 'word', text: word, word: word.toLowerCase() })
    else if (sign !== undefined && sign !== ';') found.push({ kind: 'sign', text: sign, word: '' })
  }
  return found
}
