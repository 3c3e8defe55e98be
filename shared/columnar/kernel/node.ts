import { alloc, allocZeroed } from './memory'
import { Leaf } from './leaf'

export const LEAF = 0
export const STRUCT = 1
export const LIST = 2
export const MAP = 3

/** One element of the schema. Struct: its fields. List: its element. Map: key and value. */
@unmanaged export class Node {
  id: i32
  kind: i32
  leaf: Leaf
  children: usize
  childCount: i32
  required: bool
  /** Definition level when a value is present here. */
  present: i32
  /** Repetition level of the second and later elements of this list or map. */
  repetition: i32

  name: usize
  nameLength: i32
  /** Bytes of the name as a key of JSON, quotes and colon included. It lies behind this node: see isKey. */
  keyLength: i32
  /** A bit for each of the key's first 16 bytes, and of the 16 behind them, that is behind its end. */
  restOfHead: i32
  restOfTail: i32
  /** The name as it stands between quotes in JSON, for paths. */
  escapedName: usize
  escapedLength: i32
  /** The struct instance in which this field was last seen. */
  seen: u64
  /** The last value of this field in the object being read carefully. */
  lastAt: usize
  /** The element of this list, or the entry of this map, that is being read. */
  index: i32
  /** The node above; null for the root. */
  parent: Node | null

  /** Struct: open-addressed table of child positions + 1 by hash of name. */
  table: usize
  tableMask: i32
  /** Children that must be present. */
  requiredCount: i32
}

export abstract class Nodes {
  static all: usize = 0
  static count: i32 = 0
  static leaves: usize = 0
  static leafCount: i32 = 0
  static root: Node = changetype<Node>(0)
  /** Number of the struct instance being read; every instance has its own. */
  static instance: u64 = 0
}

@inline export function nodeAt(id: i32): Node {
  return changetype<Node>(load<u32>(Nodes.all + 4 * id))
}

@inline export function leafAt(i: i32): Leaf {
  return changetype<Leaf>(load<u32>(Nodes.leaves + 4 * i))
}

@inline export function childOf(node: Node, i: i32): Node {
  return changetype<Node>(load<u32>(node.children + 4 * i))
}

export function beginNodes(nodeCount: i32, leafCount: i32): void {
  Nodes.all = alloc(4 * nodeCount)
  Nodes.leaves = alloc(4 * leafCount)
  Nodes.count = 0
  Nodes.leafCount = 0
  Nodes.instance = 0
}

export function newNode(kind: i32, name: usize, nameLength: i32, childCount: i32, required: bool): Node {
  const node = changetype<Node>(allocZeroed(offsetof<Node>() + max(nameLength + 3, 32)))
  node.id = Nodes.count
  node.kind = kind
  node.required = required
  node.childCount = childCount
  node.children = alloc(4 * childCount)
  node.name = name
  node.nameLength = nameLength
  openKey(node)
  store<u32>(Nodes.all + 4 * Nodes.count++, changetype<usize>(node))
  if (node.id == 0) Nodes.root = node
  return node
}

@inline function keyOf(node: Node): usize {
  return changetype<usize>(node) + offsetof<Node>()
}

function openKey(node: Node): void {
  // A name that JSON must escape never equals the raw bytes of a key: it is found by its decoded text.
  for (let i = 0; i < node.nameLength; i++) {
    const c = load<u8>(node.name + i)
    if (c == 0x22 || c == 0x5c || c < 0x20) return hideKey(node)
  }
  const key = keyOf(node)
  const length = node.nameLength + 3
  node.keyLength = length
  node.restOfHead = length < 16 ? (0xffff << length) & 0xffff : 0
  node.restOfTail = length < 32 ? (0xffff << max(length - 16, 0)) & 0xffff : 0
  store<u8>(key, 0x22)
  memory.copy(key + 1, node.name, node.nameLength)
  store<u16>(key + node.nameLength + 1, 0x3a22)
}

/** Makes the key one that no text has: these bytes are in no UTF-8. */
function hideKey(node: Node): void {
  memory.fill(keyOf(node), 0xff, 16)
  node.keyLength = 0
  node.restOfHead = 0
}

/** Makes the name one that no key has. */
export function hideName(node: Node): void {
  hideKey(node)
  node.nameLength = -1
}

/**
 * Whether the key at `p`, quotes and colon without space, is this field's. At least 32 bytes behind `p` can be read.
 * Without a mask and a pointer to load, and a look at State.failed, for each field, validation takes 0.94 of the time.
 */
@inline export function isKey(p: usize, node: Node): bool {
  const key = keyOf(node)
  if ((i8x16.bitmask(i8x16.eq(v128.load(p), v128.load(key))) | node.restOfHead) != 0xffff) return false
  const length = node.keyLength
  if (length <= 16) return true
  if ((i8x16.bitmask(i8x16.eq(v128.load(p, 16), v128.load(key, 16))) | node.restOfTail) != 0xffff) return false
  return length <= 32 || equalBytes(p + 32, key + 32, length - 32)
}

/** Builds the table of a struct's names, once its children are set. */
export function indexNames(node: Node): void {
  let size = 4
  while (size < node.childCount * 3) size *= 2
  node.table = allocZeroed(4 * size)
  node.tableMask = size - 1
  for (let i = 0; i < node.childCount; i++) {
    const child = childOf(node, i)
    if (child.required) node.requiredCount++
    let slot = hashBytes(child.name, child.nameLength) & node.tableMask
    while (load<u32>(node.table + 4 * slot)) slot = (slot + 1) & node.tableMask
    store<u32>(node.table + 4 * slot, i + 1)
  }
}

/** The position of the field with this decoded name, or -1. */
export function findChild(node: Node, name: usize, length: i32): i32 {
  let slot = hashBytes(name, length) & node.tableMask
  while (true) {
    const entry = load<u32>(node.table + 4 * slot)
    if (entry == 0) return -1
    const child = childOf(node, entry - 1)
    if (child.nameLength == length && equalBytes(child.name, name, length)) return entry - 1
    slot = (slot + 1) & node.tableMask
  }
}

/** Sixteen set bytes and sixteen zeros: read from 16 - n on, a mask of the first n bytes. */
const masks: usize = memory.data(32, 16)

export function initMasks(): void {
  memory.fill(masks, 0xff, 16)
}

@inline function firstBytes(p: usize, n: i32): v128 {
  return v128.and(v128.load(p), v128.load(masks + 16 - n))
}

/** At least 16 bytes behind `p` can be read. */
@inline export function hashBytes(p: usize, length: i32): i32 {
  let h: u64 = <u64>length * 0x9e3779b97f4a7c15
  let left = length
  // Short strings, and the ends of long ones, without a branch on their length.
  for (; left > 16; left -= 16) {
    h = (h ^ load<u64>(p)) * 0xff51afd7ed558ccd
    h = rotl<u64>((h ^ load<u64>(p, 8)) * 0xff51afd7ed558ccd, 29)
    p += 16
  }
  const last = firstBytes(p, left)
  h = (h ^ i64x2.extract_lane(last, 0)) * 0xff51afd7ed558ccd
  h = (rotl<u64>(h, 29) ^ i64x2.extract_lane(last, 1)) * 0xff51afd7ed558ccd
  return <i32>(h ^ (h >> 32))
}

/** At least 16 bytes behind `a` and `b` can be read. */
@inline export function equalBytes(a: usize, b: usize, length: i32): bool {
  let left = length
  for (; left > 16; left -= 16) {
    if (v128.any_true(v128.xor(v128.load(a), v128.load(b)))) return false
    a += 16
    b += 16
  }
  return !v128.any_true(v128.and(v128.xor(v128.load(a), v128.load(b)), v128.load(masks + 16 - left)))
}
