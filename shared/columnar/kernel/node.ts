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

  /** The name in JSON followed by a quote, so that one comparison matches the whole key. */
  name: usize
  nameLength: i32
  nameWord: u64
  nameMask: u64
  /** The last eight bytes of the name and its quote, when they are more than eight. */
  nameTail: u64
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
  const node = changetype<Node>(allocZeroed(offsetof<Node>()))
  node.id = Nodes.count
  node.kind = kind
  node.required = required
  node.childCount = childCount
  node.children = alloc(4 * childCount)
  node.name = name
  node.nameLength = nameLength
  if (nameLength < 8) {
    node.nameMask = (<u64>1 << ((nameLength + 1) << 3)) - 1
    if (nameLength == 7) node.nameMask = u64.MAX_VALUE
  } else node.nameMask = u64.MAX_VALUE
  node.nameWord = load<u64>(name) & node.nameMask
  if (nameLength > 7) node.nameTail = load<u64>(name + nameLength - 7)
  // A name that JSON must escape never equals the raw bytes of a key: it is found by its decoded text.
  for (let i = 0; i < nameLength; i++) {
    const c = load<u8>(name + i)
    if (c == 0x22 || c == 0x5c || c < 0x20) {
      node.nameMask = 0
      node.nameWord = 1
    }
  }
  store<u32>(Nodes.all + 4 * Nodes.count++, changetype<usize>(node))
  if (node.id == 0) Nodes.root = node
  return node
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

/** Whether the key whose first character is at `p` is this field's name, closing quote included. */
@inline export function isName(p: usize, node: Node): bool {
  if ((load<u64>(p) & node.nameMask) != node.nameWord) return false
  const length = node.nameLength
  if (length < 8) return true
  if (load<u64>(p + length - 7) != node.nameTail) return false
  return length < 16 || equalBytes(p + 8, node.name + 8, length - 15)
}

@inline function lowBytes(n: i32): u64 {
  return (<u64>1 << (<u64>n << 3)) - 1
}

@inline export function hashBytes(p: usize, length: i32): i32 {
  let h: u64 = <u64>length * 0x9e3779b97f4a7c15
  let i = 0
  for (; i + 8 <= length; i += 8) h = rotl<u64>((h ^ load<u64>(p + i)) * 0xff51afd7ed558ccd, 29)
  if (i < length) h = (h ^ (load<u64>(p + i) & lowBytes(length - i))) * 0xff51afd7ed558ccd
  h ^= h >> 32
  return <i32>h
}

@inline export function equalBytes(a: usize, b: usize, length: i32): bool {
  let i = 0
  for (; i + 8 <= length; i += 8) if (load<u64>(a + i) != load<u64>(b + i)) return false
  return i == length || ((load<u64>(a + i) ^ load<u64>(b + i)) & lowBytes(length - i)) == 0
}
