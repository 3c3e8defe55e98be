import { alloc, resize } from './memory'
import { addBytes, addLevel } from './leaf'
import { LIST, MAP, Node } from './node'

/** The text of `_rescued_data` for the record being read: an object of dotted path to value, without its end. */
let text: usize = 0
let room: i32 = 0
let length: i32 = 0

export function openRescue(): void {
  room = 256
  text = alloc(room)
  length = 0
}

export function clearRescue(): void {
  length = 0
}

function put(from: usize, bytes: i32): void {
  if (length + bytes + 16 > room) {
    room = max(room * 2, length + bytes + 16)
    text = resize(text, length, room)
  }
  memory.copy(text + length, from, bytes)
  length += bytes
}

function putByte(c: i32): void {
  if (length + 16 > room) {
    text = resize(text, length, room * 2)
    room *= 2
  }
  store<u8>(text + length++, c)
}

function putIndex(i: i32): void {
  if (i > 9) putIndex(i / 10)
  putByte(0x30 + (i % 10))
}

/** `address`, `items[3]`: the way from the root to a node. Names are kept as their JSON text. */
function putName(node: Node): void {
  const parent = node.parent
  if (!parent) return
  if (parent.kind == LIST || parent.kind == MAP) {
    putName(parent)
    putByte(0x5b)
    putIndex(parent.index)
    putByte(0x5d)
    return
  }
  if (parent.parent) {
    putName(parent)
    putByte(0x2e)
  }
  put(node.escapedName, node.escapedLength)
}

/** Keeps an unknown field of `node`: its key [key, keyEnd) and value [value, end), both as JSON text. */
export function addRescued(node: Node, key: usize, keyEnd: usize, value: usize, end: usize): void {
  putByte(length ? 0x2c : 0x7b)
  putByte(0x22)
  if (node.parent) {
    putName(node)
    putByte(0x2e)
  }
  put(key, <i32>(keyEnd - key))
  putByte(0x22)
  putByte(0x3a)
  put(value, <i32>(end - value))
}

/** Writes what was rescued from the record into the column, if anything was. */
export function writeRescued(node: Node): void {
  if (length == 0) return
  putByte(0x7d)
  addLevel(node.leaf, 0, node.present)
  addBytes(node.leaf, text, length)
}
