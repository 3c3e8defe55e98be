/**
 * A `row_filter`, parsed: what a connector pushes down to its source. Values keep the text of the literal and whether it
 * was quoted, so that no number loses a digit.
 */
export type Filter =
  | { op: 'and' | 'or'; terms: readonly Filter[] }
  | { op: '=' | '!=' | '<' | '<=' | '>' | '>='; column: string; value: Literal }
  | { op: 'in'; column: string; values: readonly Literal[]; negated: boolean }
  | { op: 'like'; column: string; pattern: string; negated: boolean }
  | { op: 'is null'; column: string; negated: boolean }

export interface Literal {
  text: string
  kind: 'string' | 'number' | 'boolean'
}
