import type { SnapshotStream } from '../../connector/connector.ts'
import { parsePiece } from '../../connector/sql/pieces.ts'
import type { Message } from '../../core/change.ts'
import type { Json } from '../../core/json.ts'
import { pieceSql, splitByKey } from './ranges.ts'
import { naming, type Source, select } from './source.ts'

/** The whole table each time. Pieces are ranges of the key: nothing tells of rows that move between two of them. */
export function snapshotStream(source: Source): SnapshotStream {
  return {
    kind: 'snapshot',
    name: `${source.relation.schema}.${source.relation.name}`,
    schema: source.schema,
    key: source.selection.key,
    split: async () => (await splitByKey(source)) as Json[],
    async *read(json) {
      const { from, conditions } = pieceSql(parsePiece(json), source)
      yield* copyBlocks(source, select(source.selected, from, [...conditions, ...source.conditions]))
    },
  }
}

/** The rows of a `select` as blocks of COPY text. */
export async function* copyBlocks(source: Source, sql: string): AsyncGenerator<Message<Json>, void, undefined> {
  for await (const bytes of source.sessions.copy(naming('read', source), sql))
    yield { op: 'block', format: 'copy', bytes }
}
