/**
 * Where bytes live. Paths are relative to the root, separated by `/`, without a leading slash; any UTF-8 name S3 allows
 * but empty, `.` and `..` parts. No path may be another one's folder. Every write is atomic (readers see the whole
 * object or none) and durable when its promise resolves. A read after a resolved write sees it. All methods throw only
 * IngestError: `storage.unavailable` (retry), `storage.full`, `storage.permission_denied`, `storage.path_invalid`,
 * `storage.missing` (fix).
 * After `storage.unavailable` from a write, its outcome is unknown.
 */
export interface Storage {
  /** For people and other engines: `file:///...` or `s3://bucket/prefix`, without a trailing slash. */
  readonly url: string
  /**
   * The whole object, or bytes [start, end) of it; undefined when there is none. A negative start counts from the end and
   * takes no `end`. A range that reaches outside the object is cut to it.
   */
  get(path: string, range?: { start: number; end?: number }): Promise<Uint8Array | undefined>
  /** The object with its version tag, for `putIfMatch`. Versions of equal bytes may share a tag. */
  getTagged(path: string): Promise<{ bytes: Uint8Array; tag: string } | undefined>
  /** Writes or overwrites. */
  put(path: string, bytes: Uint8Array): Promise<void>
  /** Writes only if there is no such object. False: there is one, untouched, and it may be this very write, retried. */
  putIfAbsent(path: string, bytes: Uint8Array): Promise<boolean>
  /** Overwrites only the version with this tag; returns the new tag, or undefined when it was another version or gone. */
  putIfMatch(path: string, bytes: Uint8Array, tag: string): Promise<string | undefined>
  /** An object written piece by piece; invisible until `finish`. */
  writer(path: string): StorageWriter
  /**
   * Takes over a finished file of this machine as an object, without copying its bytes. False: it lies on another file
   * system, and is still there; write it. Only a storage on disk has this.
   */
  takeFile?(path: string, file: string): Promise<boolean>
  /** Objects whose path starts with `prefix`, in ascending byte order of path, after `startAfter` when given. */
  list(prefix: string, startAfter?: string): AsyncIterable<StoredObject>
  /** Deletes what is there; a missing object is no error. */
  delete(paths: readonly string[]): Promise<void>
}

export interface StoredObject {
  path: string
  sizeBytes: number
  modifiedAtMs: number
}

export interface StorageWriter {
  /** Takes the bytes over; awaiting it is back-pressure. */
  write(bytes: Uint8Array): Promise<void>
  /** Makes the object visible and durable. */
  finish(): Promise<{ sizeBytes: number }>
  /** Leaves nothing behind. Safe to call after a failure, and more than once. */
  abort(): Promise<void>
}
