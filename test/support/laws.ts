import { isDeepStrictEqual } from 'node:util'
import type { TextRow } from './replica.ts'

/** What the conformance suite asks of every connector, by the name of what is broken. */
export type Law =
  | 'no row is lost'
  | 'a deleted row is gone'
  | 'a row has its last values'
  | 'a row is read once'
  | 'cursors grow'

export class LawBroken extends Error {
  override readonly name = 'LawBroken'
  readonly law: Law

  constructor(law: Law, detail: string) {
    super(`${law}: ${detail}`)
    this.law = law
  }
}

/** @throws LawBroken for the first kind of difference */
export function requireSameRows(got: readonly TextRow[], wanted: readonly TextRow[], key: readonly string[]): void {
  const keyOf = (row: TextRow) => JSON.stringify((key.length > 0 ? key : Object.keys(row)).map((name) => row[name]))
  const [gotByKey, wantedByKey] = [got, wanted].map((rows) => new Map(rows.map((row) => [keyOf(row), row])))
  const lost = [...wantedByKey!.keys()].filter((id) => !gotByKey!.has(id))
  if (lost.length > 0) throw new LawBroken('no row is lost', `${lost.length} of ${wanted.length}, such as ${lost[0]}`)
  const left = [...gotByKey!.keys()].filter((id) => !wantedByKey!.has(id))
  if (left.length > 0) throw new LawBroken('a deleted row is gone', `${left.length} are left, such as ${left[0]}`)
  for (const [id, row] of wantedByKey!) {
    const have = gotByKey!.get(id)!
    if (isDeepStrictEqual({ ...have }, { ...row })) continue
    const name = [...new Set([...Object.keys(row), ...Object.keys(have)])].find((each) => have[each] !== row[each])!
    throw new LawBroken('a row has its last values', `${id} has ${name} = ${have[name]}, wanted ${row[name]}`)
  }
}
