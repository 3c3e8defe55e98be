import { alloc, resize, SLACK } from './memory'
import { reserveText } from './lexer'
import { State } from './state'
import { invalidUtf8 } from './utf8'

/** The unread input: a buffer that the host appends to and a parser reads from `position`. */
export abstract class Input {
  static at: usize = 0
  static room: i32 = 0
  static length: i32 = 0
  static position: i32 = 0
  /** Bytes given to the writer before the one at `at`. */
  static base: f64 = 0
  /** Where the next ill-formed UTF-8 begins, or the end of what has been checked. */
  static validTo: i32 = 0
  static invalid: bool = false
  /** The unread tail is one incomplete record: not worth reading again before it has doubled. */
  static retryAt: i32 = 0
  /** Nothing has been read of this text. */
  static atStart: bool = true
}

const FIRST_ROOM = 1 << 16

export function openInput(): void {
  Input.room = FIRST_ROOM
  Input.at = alloc(FIRST_ROOM)
  Input.length = 0
  Input.position = 0
  Input.base = 0
  Input.validTo = 0
  Input.invalid = false
  Input.retryAt = 0
  Input.atStart = true
  State.end = Input.at
  memory.fill(Input.at, 0, SLACK)
  reserveText(FIRST_ROOM + 64)
}

/** Makes room for `bytes` more and returns where the host puts them. */
export function reserveInput(bytes: i32): usize {
  const rest = Input.length - Input.position
  if (Input.position) {
    memory.copy(Input.at, Input.at + Input.position, rest)
    Input.base += <f64>Input.position
    Input.validTo -= Input.position
    Input.length = rest
    Input.position = 0
  }
  if (rest + bytes > Input.room) {
    Input.room = max(rest + bytes, Input.room * 2)
    Input.at = resize(Input.at, rest, Input.room)
    // A COPY field can hold every byte of the buffer once more, decoded.
    reserveText(Input.room + 64)
  }
  return Input.at + rest
}

/** Takes in the bytes that the host has put. */
export function feedInput(bytes: i32): void {
  Input.length += bytes
  memory.fill(Input.at + Input.length, 0, SLACK)
  State.end = Input.at + Input.length
}

/** Checks the bytes that have come since; with `final`, a sequence cut by the end is ill-formed too. */
export function checkInput(final: bool): void {
  if (Input.invalid) return
  const bad = invalidUtf8(Input.at + Input.validTo, State.end)
  Input.validTo = <i32>(bad - Input.at)
  Input.invalid = bad < State.end && (final || State.end - bad > 3)
}

/** Whether [start, end) holds ill-formed UTF-8. Ranges are asked for in order. */
@inline export function holdsInvalid(end: usize): bool {
  return Input.invalid && Input.at + Input.validTo < end
}

/** Goes on behind a range that holds ill-formed UTF-8. */
export function passInvalid(end: usize, final: bool): void {
  Input.validTo = <i32>(end - Input.at)
  Input.invalid = false
  checkInput(final)
}

/** The place after a byte order mark at `p`, or 0 while there are too few bytes to tell. */
export function skipByteOrderMark(p: usize, final: bool): usize {
  const left = State.end - p
  if (left < 3) {
    if (!final) return 0
  } else if (load<u16>(p) == 0xbbef && load<u8>(p + 2) == 0xbf) p += 3
  Input.atStart = false
  return p
}
