import { type Document, isMap, isNode, isPair, LineCounter, parseDocument } from 'yaml'
import { IngestError } from '../core/errors.ts'
import { didYouMean } from './nearest.ts'

/** A YAML file with the place of everything in it. */
export class YamlText {
  readonly file: string
  readonly value: unknown
  readonly #lines = new LineCounter()
  readonly #document: Document

  /** @throws IngestError `config.invalid` (fix) when it is not YAML */
  constructor(source: string, file: string) {
    this.file = file
    this.#document = parseDocument(source, { lineCounter: this.#lines, prettyErrors: false, merge: true })
    const problems = [...this.#document.errors, ...this.#document.warnings].map(
      (error) => `${file}:${this.#lines.linePos(error.pos[0]).line}: ${lowerFirst(error.message)}`,
    )
    if (problems.length > 0) throw new IngestError('config.invalid', problems.join('\n'))
    try {
      this.value = this.#document.toJS({ maxAliasCount: 1000 }) ?? {}
    } catch (error) {
      throw new IngestError('config.invalid', `${file}: ${lowerFirst((error as Error).message)}`, { cause: error })
    }
  }

  /** `file:line: message`, for what is at the path, or at its nearest parent that is in the file. */
  problem(path: readonly PropertyKey[], message: string): string {
    const line = this.line(path)
    return line === undefined ? `${this.file}: ${message}` : `${this.file}:${line}: ${message}`
  }

  /** `; did you mean X?`, or nothing. */
  suggest(name: string, known: Iterable<string>): string {
    return didYouMean(name, known)
  }

  /** The line, from 1, of the key at this path, or of its nearest parent that is in the file. */
  line(path: readonly PropertyKey[]): number | undefined {
    for (let length = path.length; length > 0; length--) {
      const offset = this.#offset(path.slice(0, length))
      if (offset !== undefined) return this.#lines.linePos(offset).line
    }
    return undefined
  }

  #offset(path: readonly PropertyKey[]): number | undefined {
    const parent = path.length === 1 ? this.#document.contents : this.#document.getIn(path.slice(0, -1), true)
    const key = path.at(-1)!
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isPair(item) && keyText(item.key) === String(key))
      return isNode(pair?.key) ? pair.key.range?.[0] : undefined
    }
    const node = this.#document.getIn(path, true)
    return isNode(node) ? node.range?.[0] : undefined
  }
}

const keyText = (key: unknown) => String(isNode(key) ? key.toJSON() : key)
const lowerFirst = (text: string) => text.charAt(0).toLowerCase() + text.slice(1)
