import { alloc, free } from './memory'
import { encodeValues, Indexes } from './dictionary'
import { catchUp, Leaf, PAGE_VALUES } from './leaf'
import { bitWidth, hybridBound, putIndexes, putLevels } from './levels'
import { foldValues } from './statistics'
import { BOOLEAN, State } from './state'

const PLAIN = 0
const RLE_DICTIONARY = 8

/** The page body written last, and its header's numbers. */
export abstract class Page {
  static body: usize = 0
  static room: i32 = 0
  static values: i32 = 0
  static encoding: i32 = PLAIN
}

export function roomForBody(bytes: i32): void {
  if (bytes <= Page.room) return
  if (Page.body) free(Page.body)
  Page.room = bytes
  Page.body = alloc(bytes)
}

/** Whether the leaf's open page must be written before the next record. */
export function isPageDue(l: Leaf): bool {
  return l.size > State.pageBytes || l.levels >= PAGE_VALUES || State.row - l.firstRow >= PAGE_VALUES
}

/**
 * Writes the body of the leaf's open page, DataPageV1: repetition levels, definition levels, values (Parquet format,
 * "Data Pages"). Returns its length; the next page is then open.
 */
export function encodePage(l: Leaf): i32 {
  catchUp(l)
  const n = l.levels
  const encoded = l.encoded && encodeValues(l)
  const levelBytes = hybridBound(n, 8)
  roomForBody(2 * levelBytes + (encoded ? hybridBound(l.count, 32) : l.size) + 64)
  let to = Page.body
  if (l.maxRepetition) to = putLevelBlock(to, l.repetitions, n, l.maxRepetition)
  if (l.maxDefinition) to = putLevelBlock(to, l.definitions, n, l.maxDefinition)
  Page.values = n
  Page.encoding = PLAIN
  if (encoded) {
    Page.encoding = RLE_DICTIONARY
    const width = max(bitWidth(l.entries - 1), 1)
    store<u8>(to++, width)
    to = putIndexes(to, Indexes.at, l.count, width)
    l.dictionaryPages++
  } else if (l.type == BOOLEAN) {
    foldValues(l, l.values, l.count)
    to = packBits(to, l.values, l.count)
  } else {
    foldValues(l, l.values, l.count)
    memory.copy(to, l.values, l.size)
    to += l.size
  }
  l.nulls += n - l.count
  l.written += l.count
  l.levels = 0
  l.count = 0
  l.size = 0
  l.firstRow = State.row
  l.limit = min(l.room, State.pageBytes)
  return <i32>(to - Page.body)
}

function putLevelBlock(to: usize, levels: usize, n: i32, largest: i32): usize {
  const end = putLevels(to + 4, levels, n, bitWidth(largest))
  store<i32>(to, <i32>(end - to) - 4)
  return end
}

/** Booleans, one bit each, lowest first. */
function packBits(to: usize, from: usize, n: i32): usize {
  const zero = i8x16.splat(0)
  let i = 0
  for (; i + 16 <= n; i += 16) {
    store<u16>(to, i8x16.bitmask(i8x16.ne(v128.load(from + i), zero)))
    to += 2
  }
  for (; i < n; i += 8) {
    let bits = 0
    for (let b = 0; b < 8 && i + b < n; b++) bits |= <i32>load<u8>(from + i + b) << b
    store<u8>(to++, bits)
  }
  return to
}

/** Writes the body of the chunk's dictionary page; 0 when no page uses it. */
export function encodeDictionary(l: Leaf): i32 {
  if (l.dictionaryPages == 0) return 0
  foldValues(l, l.entryData, l.entries)
  roomForBody(l.entryBytes)
  memory.copy(Page.body, l.entryData, l.entryBytes)
  Page.values = l.entries
  return l.entryBytes
}
