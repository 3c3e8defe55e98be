/** A name in SQL text that may be a table's: `main.shop.orders`, with the version it is wanted at. */
export interface NameInSql {
  /** Unquoted parts; more than three when a column follows. */
  parts: readonly string[]
  /** Where each part ends in the text. */
  ends: readonly number[]
  start: number
  /** Where the name, with its version, ends. */
  end: number
  /** Stands where only a table can: after FROM, JOIN, DESCRIBE or SUMMARIZE. */
  isTable: boolean
  version?: number
  timestampMs?: number
  /** No name of its own follows. */
  needsAlias: boolean
}

const WORD = /[\p{L}_][\p{L}\p{N}_$]*|"(?:[^"]|"")*"/uy
const SKIPPED = /\s+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*(?:'|$)|\$(\w*)\$[\s\S]*?(?:\$\1\$|$)/y
const VERSION = /\s+(?:for\s+)?(?:system_)?version\s+as\s+of\s+(\d+)|@v(\d+)/iy
const TIMESTAMP = /\s+(?:for\s+)?(?:timestamp|system_time)\s+as\s+of\s+(?:timestamp\s*)?'((?:[^']|'')*)'/iy
const BEFORE_TABLE = new Set(['from', 'join', 'describe', 'desc', 'summarize'])
const AFTER_TABLE =
  /\s*(?:$|[),;]|(?:where|join|inner|left|right|full|cross|natural|semi|anti|asof|positional|lateral|on|using|group|order|having|limit|offset|union|intersect|except|window|qualify|sample|tablesample|fetch|pivot|unpivot|select)\b)/iy

/** Every dotted name of a statement that is no function, outside of quotes and comments. */
export function namesInSql(sql: string): NameInSql[] {
  const names: NameInSql[] = []
  let at = 0
  let before = ''
  while (at < sql.length) {
    const skipped = matchAt(SKIPPED, sql, at)
    if (skipped) {
      if (!/^\s|^--|^\/\*/.test(skipped[0])) before = ''
      at += skipped[0].length
      continue
    }
    const name = nameAt(sql, at, BEFORE_TABLE.has(before))
    if (!name) {
      // A number such as 1e5 is not the name e5.
      const number = matchAt(/\d[\w.]*/y, sql, at)?.[0]
      before = number ?? sql[at]!
      at += before.length
      continue
    }
    if (!matchAt(/\s*\(/y, sql, name.end)) names.push(name)
    before = name.parts.length === 1 ? name.parts[0]!.toLowerCase() : ''
    at = name.end
  }
  return names
}

function nameAt(sql: string, start: number, isTable: boolean): NameInSql | undefined {
  const parts: string[] = []
  const ends: number[] = []
  let at = start
  for (;;) {
    const word = matchAt(WORD, sql, at)?.[0]
    if (word === undefined) break
    at += word.length
    parts.push(word.startsWith('"') ? word.slice(1, -1).replaceAll('""', '"') : word)
    ends.push(at)
    const dot = matchAt(/\s*\.\s*(?=[\p{L}_"])/uy, sql, at)
    if (!dot) break
    at += dot[0].length
  }
  if (parts.length === 0) return undefined
  const end = ends.at(-1)!
  const version = matchAt(VERSION, sql, end)
  const timestamp = version ? undefined : matchAt(TIMESTAMP, sql, end)
  const last = end + ((version ?? timestamp)?.[0].length ?? 0)
  return {
    parts,
    ends,
    start,
    end: last,
    isTable: isTable || version !== undefined || timestamp !== undefined,
    ...(version && { version: Number(version[1] ?? version[2]) }),
    ...(timestamp && { timestampMs: timeOf(timestamp[1]!) }),
    needsAlias: matchAt(AFTER_TABLE, sql, last) !== undefined,
  }
}

/** Times without a zone are UTC. Not a number for what is no time. */
export function timeOf(text: string): number {
  const zoned = /(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$/.test(text.slice(10))
  const iso = text.trim().replace(' ', 'T')
  return Date.parse(zoned || iso.length <= 10 ? iso : `${iso}Z`)
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at
  return pattern.exec(text) ?? undefined
}
