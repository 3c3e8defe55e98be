import type { Json } from '../../core/json.ts'
import type { SnapshotStream } from '../connector.ts'
import { parsePiece } from './pieces.ts'
import type { SqlSource } from './source.ts'

/** The whole table each time. Pieces are ranges of the key: nothing tells of rows that move between two of them. */
export function snapshotStream(source: SqlSource): SnapshotStream {
  return {
    kind: 'snapshot',
    name: source.name,
    schema: source.schema,
    key: source.selection.key,
    split: async () => (await source.splitByKey()) as Json[],
    async *read(json) {
      const { from, conditions } = source.pieceSql(parsePiece(json))
      yield* source.read(`read ${source.name}`, source.selected, from, [...conditions, ...source.conditions])
    },
  }
}
