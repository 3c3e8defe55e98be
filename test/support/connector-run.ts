import type { Connector, ReadMode, Selection, SourceTable, Stream } from '../../shared/connector/connector.ts'
import type { Message } from '../../shared/core/change.ts'
import { type Clock, systemClock } from '../../shared/core/clock.ts'
import type { Json } from '../../shared/core/json.ts'

/** A connected connector for one test; closed by `await using`. */
export interface Connected extends AsyncDisposable {
  discover(name: string): Promise<SourceTable>
  /** Opens a table by `schema.name`, all columns and the discovered key unless the selection says otherwise. */
  open(name: string, mode: ReadMode, selection?: Partial<Selection>): Promise<Stream>
  connector: Connector
  context: unknown
  abort(reason?: unknown): void
}

export async function connect(connector: Connector, settings: unknown, clock: Clock = systemClock): Promise<Connected> {
  const aborter = new AbortController()
  const context = await connector.connect(connector.config.parse(settings), {
    clock,
    signal: aborter.signal,
  })
  const discover = async (name: string) => {
    const [schema, table] = name.split('.') as [string, string]
    const [found] = await connector.discover(context, { schema, table })
    if (!found) throw new Error(`discovery did not find ${name}`)
    return found
  }
  return {
    connector,
    context,
    discover,
    async open(name, mode, selection) {
      const table = await discover(name)
      return connector.open(context, table, {
        mode,
        columns: table.columns.fields.map((field) => field.name),
        key: table.key,
        parallelism: 2,
        owner: 'test',
        ...(mode === 'query' && { cursorColumns: table.cursorCandidates.slice(0, 1) }),
        ...selection,
      })
    },
    abort: (reason) => aborter.abort(reason),
    [Symbol.asyncDispose]: () => connector.close(context),
  }
}

/** Cells of rows: the text of each column, or null. */
export type Cells = (string | null)[]

/** Rows of PostgreSQL COPY text (PostgreSQL documentation, COPY, "Text Format"). */
export function parseCopy(bytes: Uint8Array): Cells[] {
  const escapes: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }
  const text = Buffer.from(bytes).toString('utf8')
  if (text === '') return []
  if (!text.endsWith('\n')) throw new Error('a read ended inside a row')
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) =>
      line
        .split('\t')
        .map((cell) =>
          cell === '\\N' ? null : cell.replace(/\\(.)/g, (_, letter: string) => escapes[letter] ?? letter),
        ),
    )
}

export interface Collected {
  rows: Cells[]
  deletes: Record<string, unknown>[]
  checkpoints: Json[]
}

/** Everything a read gives; rows of blocks parsed. */
export async function collect(messages: AsyncIterable<Message<Json>>): Promise<Collected> {
  const blocks: Uint8Array[] = []
  const found: Collected = { rows: [], deletes: [], checkpoints: [] }
  for await (const message of messages) {
    if (message.op === 'block') blocks.push(message.bytes)
    else if (message.op === 'delete') found.deletes.push(message.key)
    else if (message.op === 'checkpoint') found.checkpoints.push(message.cursor)
    else throw new Error('this read was expected to give blocks')
  }
  found.rows = parseCopy(Buffer.concat(blocks))
  return found
}
