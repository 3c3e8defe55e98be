import { IncompleteBody } from './errors.ts'

/** A JSON object with one long array, taken apart without parsing the array. */
export interface JsonPage {
  /** The array's own bytes, brackets included: a block of format `ndjson` takes them as they are. */
  array: Uint8Array
  /** Elements of the array. */
  count: number
  /** The last element, parsed; undefined when there is none. */
  last: unknown
  /** The object with an empty array in its place, parsed. */
  rest: Record<string, unknown>
}

const [QUOTE, BACKSLASH, OPEN, CLOSE, OPEN_OBJECT, CLOSE_OBJECT, COMMA] = [34, 92, 91, 93, 123, 125, 44]

/**
 * Takes the array named `name` out of a page such as `{"done":true,"records":[{...},{...}]}`. With an undefined name the page
 * itself is the array.
 *
 * @throws IncompleteBody when the brackets do not balance: the body ended early
 */
export function splitJsonPage(page: Uint8Array, name: string | undefined): JsonPage {
  let depth = 0
  let start = -1
  let end = -1
  let count = 0
  let lastStart = -1
  let text: { from: number; to: number } | undefined
  const arrayDepth = name === undefined ? 1 : 2
  for (let at = 0; at < page.length; at++) {
    const byte = page[at]!
    if (byte === QUOTE) {
      const from = at + 1
      at = endOfString(page, from)
      if (depth === 1) text = { from, to: at }
    } else if (byte === OPEN || byte === OPEN_OBJECT) {
      depth++
      if (byte === OPEN && depth === arrayDepth && start < 0 && isNamed(page, text, name)) {
        start = at
        lastStart = at + 1
      } else if (start >= 0 && end < 0 && depth === arrayDepth + 1) {
        count++
        lastStart = at
      }
    } else if (byte === CLOSE || byte === CLOSE_OBJECT) {
      if (byte === CLOSE && depth === arrayDepth && start >= 0 && end < 0) end = at + 1
      depth--
    } else if (byte === COMMA && depth === 1) text = undefined
  }
  if (depth !== 0 || start < 0 || end < 0)
    throw new IncompleteBody(
      depth !== 0 ? 'the JSON ends before its last bracket' : `the JSON has no array ${name ?? ''}`,
    )
  const texts = Buffer.from(page.buffer, page.byteOffset, page.byteLength)
  return {
    array: page.subarray(start, end),
    count,
    last: count === 0 ? undefined : JSON.parse(texts.toString('utf8', lastStart, end - 1).trim()),
    rest: name === undefined ? {} : JSON.parse(`${texts.toString('utf8', 0, start)}[]${texts.toString('utf8', end)}`),
  }
}

function isNamed(page: Uint8Array, text: { from: number; to: number } | undefined, name: string | undefined): boolean {
  if (name === undefined) return true
  return text !== undefined && Buffer.from(page.subarray(text.from, text.to)).toString('utf8') === name
}

/** The place of the quote that closes the string whose first character is at `at`. */
function endOfString(page: Uint8Array, at: number): number {
  for (let quote = page.indexOf(QUOTE, at); quote >= 0; quote = page.indexOf(QUOTE, quote + 1)) {
    let backslashes = 0
    while (page[quote - 1 - backslashes] === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return quote
  }
  throw new IncompleteBody('the JSON ends inside a text')
}
