import { dataTypeOf, listOf } from './column-type.ts'
import { splitByComma, type TableName, type Token, Words } from './ddl-words.ts'
import { isWider, type Shape, type ShapeColumn } from './shape.ts'

/** What a statement in the log did to a table: nothing, defined columns of it (these may be as they were), or made its rows others without saying so. */
export type Effect = { kind: 'none' } | { kind: 'columns'; shape: Shape } | { kind: 'rewritten'; reason: string }

export interface Captured extends TableName {
  shape: Shape
  /** The columns as they are today, by name: what an added column's type is known from. */
  today: ReadonlyMap<string, ShapeColumn>
  /** Columns that hold no NULL today: one that was added as such has a value in old rows, whether the statement says so or not. */
  required: ReadonlySet<string>
  /** The columns that are wanted. */
  selected: ReadonlySet<string>
  /** Table names are compared without regard to case. */
  foldsNames: boolean
}

export const none: Effect = { kind: 'none' }
const rewritten = (reason: string): Effect => ({ kind: 'rewritten', reason })

/**
 * The effect of one statement of the log. What is not understood, of a statement that alters the table, counts as a
 * rewritten table: a copy too many is loud, a change too few is not.
 */
export function effectOf(sql: string, database: string, table: Captured): Effect {
  const reader = new Words(sql, database)
  const isOurs = ({ schema, name }: TableName) =>
    table.foldsNames
      ? schema.toLowerCase() === table.schema.toLowerCase() && name.toLowerCase() === table.name.toLowerCase()
      : schema === table.schema && name === table.name
  const verb = reader.word()
  switch (verb) {
    case 'truncate':
      reader.skip('table')
      return isOurs(reader.table()) ? rewritten('was truncated') : none
    case 'drop': {
      const what = reader.word()
      if (what === 'database' || what === 'schema') {
        reader.skip('if', 'exists')
        return reader.name() === table.schema ? rewritten('was dropped') : none
      }
      // A temporary table of the same name is another table.
      if (what !== 'table' && what !== 'tables') return none
      reader.skip('if', 'exists')
      for (;;) {
        if (isOurs(reader.table())) return rewritten('was dropped')
        if (!reader.take(',')) return none
      }
    }
    case 'rename': {
      if (!['table', 'tables'].includes(reader.word())) return none
      reader.skip('if', 'exists')
      for (;;) {
        const from = reader.table()
        reader.skip('to')
        if (isOurs(from) || isOurs(reader.table())) return rewritten('was renamed, or another took its name')
        if (!reader.take(',')) return none
      }
    }
    case 'create': {
      const replaced = reader.skip('or', 'replace')
      if (reader.word() !== 'table') return none
      if (reader.skip('if') && !replaced) return none
      return isOurs(reader.table()) ? rewritten('was made anew') : none
    }
    case 'alter': {
      reader.skip('online')
      reader.skip('ignore')
      if (reader.word() !== 'table') return none
      reader.skip('if', 'exists')
      return isOurs(reader.table()) ? alter(reader, table) : none
    }
    case 'insert':
    case 'update':
    case 'delete':
    case 'replace':
    case 'load':
      return new RegExp(`\\b${table.name.replace(/[^\w]/g, '.')}\\b`, 'i').test(sql)
        ? rewritten('was changed by a statement that is in the log as text (binlog_format must be ROW)')
        : none
    default:
      return none
  }
}

/** Parts of ALTER TABLE that leave names, types and values of columns what they were. */
const harmless = new Set(
  `engine auto_increment comment row_format algorithm lock order enable disable force default character charset collate
   stats_persistent stats_auto_recalc stats_sample_pages key_block_size with without nowait wait encryption encrypted
   compression page_compressed page_compression_level page_checksum checksum pack_keys max_rows min_rows avg_row_length
   delay_key_write transactional alter partition remove reorganize coalesce analyze check optimize rebuild repair`.split(
    /\s+/,
  ),
)
/** What ADD and DROP take besides columns. */
const notColumns = new Set('index key unique primary constraint foreign fulltext spatial check'.split(' '))

function alter(reader: Words, table: Captured): Effect {
  let shape = [...table.shape]
  let ofColumns = false
  for (const clause of reader.clauses()) {
    const [verb, ...rest] = clause
    if (verb === undefined) continue
    const words = rest.map((token) => token.word)
    const at = words[0] === 'column' ? 1 : 0
    switch (verb.word) {
      case 'add': {
        if (notColumns.has(words[0]!) && rest[0]!.kind === 'word') break
        if (words[0] === 'partition') break
        if (words[0] === 'system' || words[0] === 'period') return rewritten('was made to keep its history')
        ofColumns = true
        const list = definitions(skipIfExists(rest.slice(at)))
        for (const definition of list) {
          const added = addColumn(shape, definition, table)
          if (typeof added === 'string') return rewritten(added)
          shape = added
        }
        break
      }
      case 'drop': {
        if (words[0] === 'partition') return rewritten('lost a partition')
        if (notColumns.has(words[0]!) && rest[0]!.kind === 'word') break
        ofColumns = true
        const name = skipIfExists(rest.slice(at))[0]?.text ?? ''
        shape = shape.filter((column) => column.name.toLowerCase() !== name.toLowerCase())
        break
      }
      case 'modify':
      case 'change': {
        ofColumns = true
        const definition = skipIfExists(rest.slice(at))
        const old = definition[0]?.text ?? ''
        const renamed = verb.word === 'change' ? definition.slice(1) : definition
        if (verb.word === 'change' && renamed[0]?.text.toLowerCase() !== old.toLowerCase())
          return rewritten(`had its column ${old} renamed`)
        const modified = modifyColumn(shape, renamed, table)
        if (typeof modified === 'string') return rewritten(modified)
        shape = modified
        break
      }
      case 'rename':
        if (words[0] === 'index' || words[0] === 'key') break
        return rewritten(words[0] === 'column' ? `had its column ${rest[1]?.text} renamed` : 'was renamed')
      default:
        if (!harmless.has(verb.word)) return rewritten(`was altered in a way that is not understood (${verb.text})`)
    }
  }
  return ofColumns ? { kind: 'columns', shape } : none
}

/** `a int, b int` in parentheses, or one without them. */
function definitions(tokens: readonly Token[]): Token[][] {
  if (tokens[0]?.text !== '(') return [[...tokens]]
  return splitByComma(
    tokens.slice(
      1,
      tokens.findLastIndex(({ text }) => text === ')'),
    ),
  )
}

function skipIfExists(tokens: readonly Token[]): readonly Token[] {
  if (tokens[0]?.word !== 'if') return tokens
  return tokens.slice(tokens[1]?.word === 'not' ? 3 : 2)
}

/** The new columns, or why the rows that were there cannot be known from the log. */
function addColumn(
  shape: readonly ShapeColumn[],
  definition: readonly Token[],
  table: Captured,
): ShapeColumn[] | string {
  const name = definition[0]!.text
  const today = [...table.today.values()].find((column) => column.name.toLowerCase() === name.toLowerCase())
  const wanted = today !== undefined && table.selected.has(today.name)
  if (wanted) {
    const words = definition.map(({ word }) => word)
    const filled = words[words.indexOf('default') + 1]
    const hasDefault = words.includes('default') && filled !== 'null'
    if (
      hasDefault ||
      table.required.has(today.name) ||
      / not null /.test(` ${words.join(' ')} `) ||
      words.some((word) => /^(as|generated|auto_increment|serial|primary)$/.test(word))
    )
      return `had its column ${name} added with a value for the rows that were there`
  }
  const known = today !== undefined && describes(definition, today)
  if (wanted && !known) return `had its column ${name} added as another type than it is now`
  // Not wanted today, it may be tomorrow.
  return placed(shape, known ? today : { name, type: '', charset: null, json: false }, definition)
}

function modifyColumn(
  shape: readonly ShapeColumn[],
  definition: readonly Token[],
  table: Captured,
): ShapeColumn[] | string {
  const name = definition[0]?.text ?? ''
  const old = shape.find((column) => column.name.toLowerCase() === name.toLowerCase())
  const today = [...table.today.values()].find((column) => column.name.toLowerCase() === name.toLowerCase())
  if (!old) return `had a column ${name} altered that was not known`
  const rest = shape.filter((column) => column !== old)
  const at = shape.indexOf(old)
  if (today && isWider(old, today) && describes(definition, today)) return placed(rest, today, definition, at)
  if (today && table.selected.has(today.name)) return `had the type of its column ${name} changed`
  return placed(rest, { ...old, type: '' }, definition, at)
}

/** Where FIRST or AFTER says; otherwise at `at`. */
function placed(
  shape: readonly ShapeColumn[],
  column: ShapeColumn,
  definition: readonly Token[],
  at = shape.length,
): ShapeColumn[] {
  const last = definition.at(-1)
  const before = definition.at(-2)
  let place = at
  if (last?.kind === 'word' && last.word === 'first') place = 0
  else if (before?.kind === 'word' && before.word === 'after')
    place = shape.findIndex(({ name }) => name.toLowerCase() === last!.text.toLowerCase()) + 1
  return [...shape.slice(0, place), column, ...shape.slice(place)]
}

/**
 * True unless the definition says another sign or other members than the column has today: what the log's own list of
 * types does not show.
 */
function describes(definition: readonly Token[], today: ShapeColumn): boolean {
  const words = definition.map(({ word }) => word)
  if (words.includes('unsigned') !== /\bunsigned\b/.test(today.type)) return false
  const charset = words[words.indexOf('set') + 1]
  if (words.includes('character') && words.includes('set') && charset !== today.charset) return false
  const dataType = dataTypeOf(today.type)
  if (dataType !== 'enum' && dataType !== 'set') return true
  const members = definition.slice(definition.findIndex(({ text }) => text === '('))
  const listed = members
    .slice(
      0,
      members.findIndex(({ text }) => text === ')'),
    )
    .filter(({ kind }) => kind === 'string')
    .map(({ text }) => text)
  return listed.join('\n') === listOf(today.type).join('\n')
}
