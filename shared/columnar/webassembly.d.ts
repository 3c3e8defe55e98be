/** The parts of the WebAssembly and JSON globals used here: TypeScript has the first only with the browser's library. */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array)
  }
  class Instance {
    readonly exports: Readonly<Record<string, unknown>>
    constructor(module: Module, imports: Record<string, Record<string, unknown>>)
  }
  interface Memory {
    readonly buffer: ArrayBuffer
  }
}

interface JSON {
  /** A value that `stringify` writes as this text. */
  rawJSON(text: string): unknown
}
