import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { IngestError } from '../core/errors.ts'

export interface EngineOptions {
  /** A folder of this machine for spilled data, downloads and files being written. Made when missing. */
  scratch: string
  /** What joins and sorts may hold in memory before they spill to `scratch`. Default 1024. */
  memoryMb?: number
  /** Default: what the machine has. */
  threads?: number
}

/** The embedded query engine: joins, merges, sorts and compacts Parquet files on local disk. */
export interface Engine {
  /** Runs `work` with temporary tables and a scratch folder of its own; both are gone when it ends. */
  session<T>(work: (session: Session) => Promise<T>): Promise<T>
  close(): void
}

export interface Session {
  /** An empty folder. */
  readonly folder: string
  run(sql: string): Promise<void>
  /** Rows as plain values: `bigint` for 64-bit integers, `Date` for dates and timestamps. */
  rows(sql: string): Promise<Record<string, unknown>[]>
}

/**
 * Opens DuckDB. All sessions share its memory limit.
 * Sessions throw IngestError `engine.out_of_memory`, `storage.full`, and `table.corrupt` or `table.unsupported_feature` for a
 * Parquet file that cannot be read (all fix).
 */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  await mkdir(options.scratch, { recursive: true })
  const instance = await DuckDBInstance.create(':memory:', {
    memory_limit: `${options.memoryMb ?? 1024}MiB`,
    temp_directory: join(options.scratch, 'spill'),
    // Row order costs memory: every batch waits for the one before it. Files are sorted where order matters.
    preserve_insertion_order: 'false',
    autoinstall_known_extensions: 'false',
    ...(options.threads === undefined ? {} : { threads: String(options.threads) }),
  })
  return {
    async session(work) {
      const folder = await mkdtemp(join(options.scratch, 'session-'))
      const connection = await instance.connect()
      try {
        await connection.run("set timezone = 'UTC'")
        return await work(sessionOn(connection, folder))
      } finally {
        connection.closeSync()
        await rm(folder, { recursive: true, force: true })
      }
    },
    close: () => instance.closeSync(),
  }
}

function sessionOn(connection: DuckDBConnection, folder: string): Session {
  return {
    folder,
    run: async (sql) => {
      await connection.run(sql).catch(translate)
    },
    rows: async (sql) => {
      const reader = await connection.runAndReadAll(sql).catch(translate)
      return reader.getRowObjectsJS()
    },
  }
}

/** DuckDB gives an error's kind as the first words of its text only. */
function translate(cause: unknown): never {
  const text = String(cause).replace(/^Error: /, '')
  if (text.startsWith('Out of Memory Error')) {
    throw new IngestError(
      'engine.out_of_memory',
      'a merge needs more memory than the engine may use; raise the memory setting, or write more often',
      { cause },
    )
  }
  if (/No space left on device/.test(text)) {
    throw new IngestError('storage.full', 'the scratch folder of the merge engine is full; free some space', { cause })
  }
  const [, file, why = ''] = /^[\w ]+ Error: Failed to read file "([^"]*)": (.*)/.exec(text) ?? []
  if (file !== undefined) {
    const codec = /^Unsupported compression codec "(\w+)"/.exec(why)?.[1]
    if (codec === undefined)
      throw new IngestError('table.corrupt', `the data file ${file} is damaged: ${why}`, { cause })
    throw new IngestError(
      'table.unsupported_feature',
      `the data file ${file} is compressed with ${codec}, which is not supported; write it again with snappy or zstd`,
      { cause },
    )
  }
  if (/^Invalid Error: BYTE_STREAM_SPLIT encoding is only supported/.test(text)) {
    throw new IngestError(
      'table.unsupported_feature',
      'a data file has BYTE_STREAM_SPLIT in a column that is not of floats, which is not supported; write it again with another encoding',
      { cause },
    )
  }
  // The text also has the value, which is no business of a message.
  const narrow = /^Conversion Error: .* when casting from source column (?:\d+ )?([^\n]+)/s.exec(text)?.[1]
  if (narrow !== undefined) {
    throw new IngestError(
      'table.corrupt',
      `a data file has a value in its column ${narrow} that the table's type cannot hold; write the file again, or widen the column`,
      { cause },
    )
  }
  throw new IngestError('bug.invariant', `the merge engine refused a statement: ${text.split('\n')[0]}`, { cause })
}
