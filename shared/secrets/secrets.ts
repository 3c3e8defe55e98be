import { IngestError } from '../core/errors.ts'

/**
 * Credentials by name, for `${secret:name}`. A value is at most 8 KB of text, encrypted where it rests, and never part of a
 * message or log. Throws only IngestError: `config.invalid` for a name or value no store could hold, `secrets.unreadable`,
 * `storage.permission_denied`, `storage.full` (fix), `storage.unavailable` (retry).
 */
export interface Secrets {
  get(name: string): Promise<string | undefined>
  /** Stores or replaces. Durable when it resolves; a later `get` sees it. */
  put(name: string, value: string): Promise<void>
  /** Names of all secrets, in byte order. */
  list(): Promise<string[]>
  /** A missing secret is no error. */
  delete(name: string): Promise<void>
}

const maxValueBytes = 8 * 1024

/** Refuses what some store could not hold, so that all refuse alike. @throws IngestError `config.invalid` */
export function checkSecret(name: string, value?: string): void {
  if (
    !/^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+){0,7}$/.test(name) ||
    name.length > 200 ||
    /(^|\/)\.{1,2}(\/|$)/.test(name)
  ) {
    throw new IngestError(
      'config.invalid',
      `the secret name ${JSON.stringify(name)} is not letters, digits, "_", "." and "-", in up to 8 parts with "/" between, 200 characters in all`,
    )
  }
  if (value === undefined) return
  const bytes = Buffer.byteLength(value)
  if (bytes === 0 || bytes > maxValueBytes) {
    throw new IngestError(
      'config.invalid',
      `the value of secret "${name}" has ${bytes} bytes; 1 to ${maxValueBytes} can be stored`,
    )
  }
}
