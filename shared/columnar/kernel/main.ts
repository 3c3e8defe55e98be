import { initDoubles } from './doubles'
import { clearDictionary, openIndexes } from './dictionary'
import { feedInput, Input, openInput, reserveInput } from './input'
import { openJson, readJson } from './json'
import { openCsv, readCsv, restartCsv } from './csv'
import { readCopy } from './copy-text'
import { Check, Write } from './leaf-values'
import { newLeaf, openLeaf } from './leaf'
import { openKeys } from './map-keys'
import { alloc, free, resetMemory } from './memory'
import { beginNodes, childOf, hideName, indexNames, initMasks, leafAt, newNode, nodeAt, Nodes } from './node'
import { initNumbers } from './numbers'
import { encodeDictionary, encodePage, isPageDue, Page } from './pages'
import { openRescue } from './rescue'
import { Records } from './records'
import { compressSnappy, snappyBound } from './snappy'
import { openLines } from './turn'
import { clearStatistics } from './statistics'
import { Text } from './lexer'
import { State } from './state'

// What the host calls. Pointers and lengths are bytes; nodes and leaves are numbers in the order they were made.

/** Frees everything and takes the options of a new writer. */
export function open(
  unknown: i32,
  epochScale: i32,
  hexBinary: bool,
  nonFinite: bool,
  pageBytes: i32,
  maxRecordBytes: i32,
): void {
  resetMemory()
  initNumbers()
  initDoubles()
  initMasks()
  Text.at = 0
  Text.room = 0
  Page.body = 0
  Page.room = 0
  compressed = 0
  compressedRoom = 0
  State.unknown = unknown
  State.epochScale = epochScale
  State.hexBinary = hexBinary
  State.nonFinite = nonFinite
  State.pageBytes = pageBytes
  State.row = 0
  State.failed = 0
  State.due = false
  State.careful = false
  Records.read = 0
  Records.rescueColumn = null
  openInput()
  openIndexes()
  openKeys()
  openRescue()
  Records.maxBytes = maxRecordBytes
  openJson()
  openLines()
}

export { alloc, beginNodes }

/** Adds a node. Nodes are added parents first; a leaf is completed by `addLeaf`, a struct by `finishStruct`. */
export function addNode(
  kind: i32,
  name: usize,
  nameLength: i32,
  escapedLength: i32,
  childCount: i32,
  required: bool,
  present: i32,
  repetition: i32,
): i32 {
  const node = newNode(kind, name, nameLength, childCount, required)
  node.escapedName = name + nameLength + 1
  node.escapedLength = escapedLength
  node.present = present
  node.repetition = repetition
  return node.id
}

export function setChild(parent: i32, i: i32, child: i32): void {
  store<u32>(nodeAt(parent).children + 4 * i, changetype<usize>(nodeAt(child)))
  nodeAt(child).parent = nodeAt(parent)
}

export function finishStruct(id: i32): void {
  indexNames(nodeAt(id))
}

/** Gives a node its leaf; without `writes` it can only be checked against. */
export function addLeaf(
  id: i32,
  type: i32,
  precision: i32,
  scale: i32,
  width: i32,
  maxDefinition: i32,
  maxRepetition: i32,
  writes: bool,
): void {
  const leaf = newLeaf(id, type, precision, scale, width, maxDefinition, maxRepetition)
  nodeAt(id).leaf = leaf
  if (writes) openLeaf(leaf)
  store<u32>(Nodes.leaves + 4 * Nodes.leafCount++, changetype<usize>(leaf))
}

/** The column that takes the unknown fields. Its own name is unknown too: only the writer fills it. */
export function setRescueColumn(id: i32): void {
  const node = nodeAt(id)
  Records.rescueColumn = node
  hideName(node)
}

export { reserveInput, feedInput }

export function inputAt(): usize {
  return Input.at
}

export function inputBase(): f64 {
  return Input.base
}

export function unread(): i32 {
  return Input.length - Input.position
}

export function parseJson(final: bool): i32 {
  return readJson<Write>(final)
}

export function checkJson(final: bool): i32 {
  return readJson<Check>(final)
}

export function parseCopy(final: bool): i32 {
  return readCopy<Write>(final)
}

export function checkCopy(final: bool): i32 {
  return readCopy<Check>(final)
}

export { openCsv }

export function parseCsv(final: bool): i32 {
  return readCsv<Write>(final)
}

export function checkCsv(final: bool): i32 {
  return readCsv<Check>(final)
}

/** Ends the text: the next byte begins a new one. */
export function endText(): void {
  openJson()
  openLines()
  Input.atStart = true
  restartCsv()
}

/** Bytes read so far: places of records count from their beginning. */
export function bytesRead(): f64 {
  return Input.base + <f64>Input.position
}

export function setBytesRead(bytes: f64): void {
  Input.base = bytes - <f64>Input.position
}

/** Sets the number of records, so that a check does not count. */
export function setRecords(read: f64): void {
  Records.read = read
}

export function recordsRead(): f64 {
  return Records.read
}

export function rowCount(): i32 {
  return State.row
}

/** Sets the rows back to those before a check. */
export function setRows(rows: i32): void {
  State.row = rows
}

/** Bytes of values held for the open pages of all leaves, and of their dictionaries. */
export function openBytes(): i32 {
  let bytes = 0
  for (let i = 0; i < Nodes.leafCount; i++) {
    const l = leafAt(i)
    bytes += l.size + l.entryBytes
  }
  return bytes
}

/** The first leaf from `i` on whose page must be written, or -1: then reading can go on. */
export function nextDue(i: i32): i32 {
  for (; i < Nodes.leafCount; i++) if (isPageDue(leafAt(i))) return i
  State.due = false
  return -1
}

/** Whether the leaf has an unwritten page. */
export function hasPage(leaf: i32): bool {
  const l = leafAt(leaf)
  return State.row > l.firstRow || l.levels > 0
}

export function writePage(leaf: i32): i32 {
  return encodePage(leafAt(leaf))
}

export function writeDictionary(leaf: i32): i32 {
  return encodeDictionary(leafAt(leaf))
}

export function pageAt(): usize {
  return Page.body
}

export function pageValues(): i32 {
  return Page.values
}

export function pageEncoding(): i32 {
  return Page.encoding
}

let compressed: usize = 0
let compressedRoom: i32 = 0

/** Compresses the first `length` bytes of the page; returns the length of the result. */
export function compress(length: i32): i32 {
  const bound = snappyBound(length)
  if (bound > compressedRoom) {
    if (compressed) free(compressed)
    compressedRoom = bound
    compressed = alloc(bound)
  }
  return compressSnappy(Page.body, length, compressed)
}

export function compressedAt(): usize {
  return compressed
}

/** Begins a new column chunk. */
export function newChunk(leaf: i32): void {
  const l = leafAt(leaf)
  clearDictionary(l)
  clearStatistics(l)
  l.written = 0
  l.firstRow = 0
  l.nextRow = 0
}

/** Begins a new row group: all its chunks must be new. */
export function newRowGroup(): void {
  State.row = 0
}

const summary: usize = memory.data(80, 16)

/** Where the chunk's statistics are put: ../statistics.ts reads them. */
export function statistics(leaf: i32): usize {
  const l = leafAt(leaf)
  store<i32>(summary, l.hasStats)
  store<i32>(summary, l.sawNaN, 4)
  store<f64>(summary, <f64>l.nulls, 8)
  store<i64>(summary, l.minInt, 16)
  store<i64>(summary, l.maxInt, 24)
  store<i64>(summary, l.minHigh, 32)
  store<i64>(summary, l.maxHigh, 40)
  store<f64>(summary, l.minFloat, 48)
  store<f64>(summary, l.maxFloat, 56)
  store<u32>(summary, <u32>l.minText, 64)
  store<i32>(summary, l.minLength, 68)
  store<u32>(summary, <u32>l.maxText, 72)
  store<i32>(summary, l.maxLength, 76)
  return summary
}
