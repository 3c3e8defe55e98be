import { IngestError } from '../core/errors.ts'

/** Where adapters keep what no listing shows. */
export const hiddenFolder = '.lakeflow-tmp'

/** Refuses what some storage could not hold or would resolve to another place. @throws IngestError `storage.path_invalid` */
export function checkPath(path: string): void {
  checkParts(path, path.split('/'))
}

/** The same for the start of a path, which may be empty or end anywhere. */
export function checkPrefix(prefix: string): void {
  checkParts(prefix, prefix.split('/').slice(0, -1))
}

function checkParts(path: string, parts: readonly string[]): void {
  const bad =
    parts.some((part) => part === '' || part === '.' || part === '..') ||
    parts[0] === hiddenFolder ||
    path.includes('\0') ||
    !path.isWellFormed()
  if (bad) {
    throw new IngestError(
      'storage.path_invalid',
      `"${path}" cannot be stored: a path has no empty, "." or ".." part, no NUL, and does not start with "${hiddenFolder}/"`,
    )
  }
}
