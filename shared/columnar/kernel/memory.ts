/**
 * A block allocator over the module's memory: size classes in quarter steps between powers of two, one free list a
 * class. Every block is followed by SLACK bytes that may be read and overwritten, so that copies and scans can go 16
 * bytes at a time. `resetMemory` frees everything at once; a writer ends that way.
 */
export const SLACK: usize = 64
const HEADER: usize = 16
const CLASSES: i32 = 160

const lists: usize = memory.data(4 * 160)
let top: usize = 0
/** Bytes left free before a large block. */
let stagger: usize = 0

export function resetMemory(): void {
  top = (__heap_base + <usize>15) & ~15
  memory.fill(lists, 0, 4 * CLASSES)
}

/** A block of at least `size` bytes, 16-byte aligned, with undefined content. Traps when 4 GiB are used up. */
export function alloc(size: usize): usize {
  const bytes = max<usize>(size + HEADER + SLACK, 128)
  const step: usize = 1 << (29 - clz<u32>(<u32>bytes))
  const rounded = (bytes + step - 1) & ~(step - 1)
  const exponent = 31 - clz<u32>(<u32>rounded)
  const list = lists + 4 * (exponent * 4 + ((<i32>(rounded >> (exponent - 2))) & 3))
  const first = <usize>load<u32>(list)
  if (first) {
    store<u32>(list, load<u32>(first))
    return first
  }
  if (rounded >= 16384) {
    // Columns are filled in step: were their buffers to begin at one place modulo 4096, they would all want the same few
    // lines of the first cache. Writing lineitem takes 8 % less time so.
    stagger = (stagger + 320) & 4095
    top += stagger
  }
  const block = top
  top += rounded
  if (top < block) unreachable()
  const pages = <i32>((top + 0xffff) >> 16) - memory.size()
  // In steps of 4 MiB: growing is slow, and costs the host a collection now and then. Untouched memory costs nothing.
  if (pages > 0 && memory.grow(max(pages, 64)) < 0 && memory.grow(pages) < 0) unreachable()
  store<u32>(block, <u32>list)
  return block + HEADER
}

export function allocZeroed(size: usize): usize {
  const block = alloc(size)
  memory.fill(block, 0, size)
  return block
}

export function free(block: usize): void {
  const list = <usize>load<u32>(block - HEADER)
  store<u32>(block, load<u32>(list))
  store<u32>(list, <u32>block)
}

/** A block of `size` bytes that begins with the first `used` bytes of the given one, which is freed. */
export function resize(block: usize, used: usize, size: usize): usize {
  const bigger = alloc(size)
  memory.copy(bigger, block, used)
  free(block)
  return bigger
}
