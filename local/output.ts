import type { Redactor } from '../shared/core/redactor.ts'

export interface TextStream {
  isTTY?: boolean
  columns?: number
  write(text: string): unknown
  once?(event: 'drain', listener: () => void): unknown
}

/** All that a command prints. Every text goes through the redactor. */
export class Output {
  /** One JSON object a line instead of text for people. */
  readonly json: boolean
  /** Standard output is a terminal, so that a line may be drawn again in place. */
  readonly terminal: boolean
  readonly #out: TextStream
  readonly #errors: TextStream
  readonly #redactor: Redactor
  #drawn = 0

  constructor(options: { json: boolean; out: TextStream; errors: TextStream; redactor: Redactor }) {
    this.json = options.json
    this.terminal = options.out.isTTY === true
    this.#out = options.out
    this.#errors = options.errors
    this.#redactor = options.redactor
  }

  /** A line for people; nothing with --json. */
  line(text = ''): void {
    if (this.json) return
    this.#erase()
    this.#out.write(`${this.#redactor.text(text)}\n`)
  }

  /** A line of machine-readable output, printed whatever the mode. */
  record(value: object): void {
    this.#erase()
    this.#out.write(`${JSON.stringify(this.#redactor.value(value), bigintAsText)}\n`)
  }

  /** Text as it is, without an end of line. Awaiting it is back-pressure. */
  async raw(text: string): Promise<void> {
    const taken = this.#out.write(this.#redactor.text(text))
    if (taken === false && this.#out.once) await new Promise<void>((done) => this.#out.once!('drain', done))
  }

  /** A remark beside the output: standard error, so that it is not in a pipe. */
  note(text: string): void {
    if (this.json) return
    this.#erase()
    this.#errors.write(`${this.#redactor.text(text)}\n`)
  }

  error(text: string): void {
    this.#erase()
    this.#errors.write(`${this.#redactor.text(text)}\n`)
  }

  /** Rows as aligned columns; numbers to the right. With --json one object a row. */
  table(rows: readonly Record<string, unknown>[], columns: readonly string[] = Object.keys(rows[0] ?? {})): void {
    if (this.json) {
      for (const row of rows) this.record(row)
      return
    }
    const cells = rows.map((row) => columns.map((column) => row[column]))
    for (const line of tableLines(cells, columns)) this.line(line)
  }

  /** Lines at the bottom of a terminal that the next call replaces. Nothing when this is no terminal. */
  draw(lines: readonly string[]): void {
    if (!this.terminal || this.json) return
    this.#erase()
    const width = this.#out.columns || 80
    const text = lines.map((line) => `${this.#redactor.text(line).slice(0, width - 1)}\n`).join('')
    this.#out.write(text)
    this.#drawn = lines.length
  }

  #erase(): void {
    if (this.#drawn > 0) this.#out.write(`\u001b[${this.#drawn}A\u001b[0J`)
    this.#drawn = 0
  }
}

/** Rows below their columns' names, aligned; numbers to the right. */
export function tableLines(rows: readonly (readonly unknown[])[], columns: readonly string[]): string[] {
  const cells = rows.map((row) => row.map(cellText))
  const right = columns.map((_, i) => rows.length > 0 && rows.every((row) => isNumeric(row[i])))
  const widths = columns.map((column, i) => Math.max(widthOf(column), ...cells.map((row) => widthOf(row[i]!))))
  const layout = (row: readonly string[]) =>
    row
      .map((text, i) => (right[i] ? padStart(text, widths[i]!) : padEnd(text, widths[i]!)))
      .join('  ')
      .trimEnd()
  return [layout(columns), widths.map((width) => '-'.repeat(width)).join('  '), ...cells.map(layout)]
}

const isNumeric = (value: unknown) => value == null || typeof value === 'number' || typeof value === 'bigint'

/** One line of text: ends of line and control signs are shown as escapes, so that a value cannot draw on the terminal. */
export function cellText(value: unknown): string {
  if (value === null || value === undefined) return ''
  const text = typeof value === 'object' ? JSON.stringify(value, bigintAsText) : String(value)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control signs are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (sign) =>
    JSON.stringify(sign)
      .slice(1, -1)
      .replace(/^[\u007f-\u009f]$/, '?'),
  )
}

const bigintAsText = (_key: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value)

/** Columns on a terminal: wide signs of East Asian scripts and emoji take two, combining marks none. */
function widthOf(text: string): number {
  let width = 0
  for (const sign of text) {
    if (/\p{M}|\u200d|\ufe0f/u.test(sign)) continue
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
        sign,
      )
        ? 2
        : 1
  }
  return width
}

const padEnd = (text: string, width: number) => text + ' '.repeat(Math.max(0, width - widthOf(text)))
const padStart = (text: string, width: number) => ' '.repeat(Math.max(0, width - widthOf(text))) + text
