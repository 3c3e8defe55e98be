import { readFileSync } from 'node:fs'

/**
 * What the compiled kernel exports (kernel/main.ts): pointers, lengths, and numbers of nodes and leaves. A pointer
 * beyond 2 GiB arrives as a negative number: `address` makes it an address again.
 */
export interface KernelExports {
  memory: WebAssembly.Memory
  open(
    unknown: number,
    epochScale: number,
    hexBinary: boolean,
    nonFinite: boolean,
    pageBytes: number,
    maxRecordBytes: number,
  ): void
  alloc(bytes: number): number
  beginNodes(nodes: number, leaves: number): void
  addNode(
    kind: number,
    name: number,
    nameLength: number,
    escapedLength: number,
    childCount: number,
    required: boolean,
    present: number,
    repetition: number,
  ): number
  setChild(parent: number, i: number, child: number): void
  finishStruct(node: number): void
  addLeaf(
    node: number,
    type: number,
    precision: number,
    scale: number,
    width: number,
    maxDefinition: number,
    maxRepetition: number,
    writes: boolean,
  ): void
  setRescueColumn(node: number): void
  reserveInput(bytes: number): number
  feedInput(bytes: number): void
  inputAt(): number
  inputBase(): number
  unread(): number
  parseJson(final: boolean): number
  checkJson(final: boolean): number
  parseCopy(final: boolean): number
  checkCopy(final: boolean): number
  parseCsv(final: boolean): number
  checkCsv(final: boolean): number
  openCsv(
    delimiter: number,
    quote: number,
    escapeByte: number,
    header: boolean,
    nullText: number,
    nullTextLength: number,
  ): void
  endText(): void
  bytesRead(): number
  setBytesRead(bytes: number): void
  recordsRead(): number
  setRecords(read: number): void
  rowCount(): number
  setRows(rows: number): void
  openBytes(): number
  nextDue(leaf: number): number
  hasPage(leaf: number): number
  writePage(leaf: number): number
  writeDictionary(leaf: number): number
  pageAt(): number
  pageValues(): number
  pageEncoding(): number
  compress(bytes: number): number
  compressedAt(): number
  newChunk(leaf: number): void
  newRowGroup(): void
  statistics(leaf: number): number
}

/** Where a pointer of the kernel points to in its memory. */
export const address = (pointer: number): number => pointer >>> 0

/** What a parser returns when pages must be written before it can go on. */
export const NEEDS_SERVICE = 1

/** Told of each record that is left out; places are addresses in the kernel's memory. */
export type OnRejected = (
  record: number,
  start: number,
  end: number,
  node: number,
  code: number,
  got: number,
  key: number,
  keyLength: number,
) => void

/** One instance of the kernel, with a memory of its own. It serves one writer at a time. */
export interface Kernel extends KernelExports {
  onRejected: OnRejected
}

/** Idle instances, kept because their memory is already there. */
const idle: Kernel[] = []
const IDLE_INSTANCES = 4
/** An instance whose memory grew beyond this is left to the garbage collector: memory never shrinks. */
const IDLE_BYTES = 96 << 20

let compiled: WebAssembly.Module | undefined

/**
 * An instance of the kernel. The module, `kernel.wasm` beside this file or beside the bundle it is part of, is compiled
 * once per thread in about 2 ms; an instance takes about 0.1 ms. Give it back with `releaseKernel`.
 */
export function acquireKernel(): Kernel {
  return idle.pop() ?? instantiate()
}

/** Takes an instance back. One that has thrown must not come back: its state is unknown. */
export function releaseKernel(kernel: Kernel) {
  kernel.onRejected = ignore
  if (idle.length < IDLE_INSTANCES && kernel.memory.buffer.byteLength <= IDLE_BYTES) idle.push(kernel)
}

const ignore: OnRejected = () => {}

function instantiate(): Kernel {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('./kernel.wasm', import.meta.url)))
  const host = {
    parseDouble: (at: number, length: number) => Number(latin1(memory(), address(at), length)),
    powersOfFive: (at: number) => new BigUint64Array(memory(), address(at), powers().length).set(powers()),
    rejected: (...details: Parameters<OnRejected>) => kernel.onRejected(...details),
  }
  const env = {
    abort: () => {
      throw new Error('the columnar kernel stopped')
    },
  }
  const { exports } = new WebAssembly.Instance(compiled, { host, env })
  const kernel: Kernel = { ...(exports as unknown as KernelExports), onRejected: ignore }
  const memory = () => kernel.memory.buffer
  return kernel
}

function latin1(memory: ArrayBufferLike, at: number, length: number): string {
  return Buffer.from(memory as ArrayBuffer, at, length).toString('latin1')
}

const SMALLEST_POWER = -342
const LARGEST_POWER = 308
let powersOfFive: BigUint64Array | undefined

/**
 * The leading 128 bits of 5^q as pairs of high and low word: the table of the Eisel-Lemire algorithm, from its
 * definition. Truncated for q >= 0, rounded up below.
 */
function powers(): BigUint64Array {
  if (powersOfFive) return powersOfFive
  const table = new BigUint64Array(2 * (LARGEST_POWER - SMALLEST_POWER + 1))
  for (let q = SMALLEST_POWER; q <= LARGEST_POWER; q++) {
    const power = 5n ** BigInt(Math.abs(q))
    const bits = BigInt(power.toString(2).length)
    let leading: bigint
    if (q >= 0) leading = bits > 128n ? power >> (bits - 128n) : power << (128n - bits)
    else {
      leading = (1n << (2n * bits + 128n)) / power + 1n
      leading >>= BigInt(leading.toString(2).length) - 128n
    }
    table[2 * (q - SMALLEST_POWER)] = leading >> 64n
    table[2 * (q - SMALLEST_POWER) + 1] = leading & 0xffffffffffffffffn
  }
  powersOfFive = table
  return table
}
