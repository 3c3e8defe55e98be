import type { SnapshotStream } from '../../connector/connector.ts'
import { readPiece, splitById } from './pieces.ts'
import type { Source } from './source.ts'

/** The whole object, in ranges of its ids. */
export function snapshotStream(source: Source): SnapshotStream {
  return {
    kind: 'snapshot',
    name: `objects.${source.object.name}`,
    schema: source.schema,
    key: source.selection.key,
    split: () => splitById(source, source.conditions),
    read: (piece) => readPiece(source, piece, source.conditions),
  }
}
