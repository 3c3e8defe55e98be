import type { DeletionVector } from './actions.ts'

/** Where a file of a table is: inside the storage the table lives in, or at an address of its own. */
export type FileLocation = { storagePath: string } | { url: string }

/**
 * The path of an action in one form, so that an add and its remove meet however each was written: percent-decoded,
 * `/a`, `file:/a` and `file:///a` alike, and `s3a:` as `s3:` (Delta protocol, "Add File and Remove File": paths are RFC 2396 URIs).
 */
export function canonicalPath(path: string): string {
  const file = /^file:(?:\/\/(?:localhost)?)?(\/.*)$/i.exec(path)
  const absolute = file?.[1] ?? (path.startsWith('/') ? path : undefined)
  return absolute === undefined ? decodePath(path.replace(/^s3[an]:/i, 's3:')) : `file://${decodePath(absolute)}`
}

/** What identifies a file of a snapshot: its path and its deletion vector. */
export function fileKey(file: { path: string; deletionVector?: DeletionVector | null }): string {
  const path = canonicalPath(file.path)
  return file.deletionVector ? `${path}#${deletionVectorId(file.deletionVector)}` : path
}

/** The unique id of a deletion vector (Delta protocol, "Derived Fields"). */
export function deletionVectorId(vector: DeletionVector): string {
  return vector.storageType + vector.pathOrInlineDv + (vector.offset == null ? '' : `@${vector.offset}`)
}

/** Where the bytes of a path in the log are, for a table at `root` of a storage whose address is `storageUrl`. */
export function locate(path: string, root: string, storageUrl: string): FileLocation {
  const canonical = canonicalPath(path)
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(canonical)) return { storagePath: join(root, canonical) }
  const base = `${canonicalPath(storageUrl)}/`
  return canonical.startsWith(base) ? { storagePath: canonical.slice(base.length) } : { url: canonical }
}

/** A file's address for other engines, decoded: `file:///...` or `s3://bucket/...`. */
export function fileUrl(path: string, root: string, storageUrl: string): string {
  const place = locate(path, root, storageUrl)
  return 'url' in place ? place.url : `${canonicalPath(storageUrl)}/${place.storagePath}`
}

/** A name inside the table as the text of an action's path. */
export function encodePath(name: string): string {
  return name.split('/').map(encodeSegment).join('/')
}

const encodeSegment = (segment: string) => encodeURI(segment).replaceAll('?', '%3F').replaceAll('#', '%23')

/** Percent-decoding that leaves a stray `%` as it is: some writers do not encode. */
function decodePath(path: string): string {
  if (!path.includes('%')) return path
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** `..` and `.` are resolved; a path that climbs out of the storage stays as it is and is found missing. */
function join(root: string, path: string): string {
  const parts = (root === '' ? path : `${root}/${path}`).split('/')
  const kept: string[] = []
  for (const part of parts) {
    if (part === '' || part === '.') continue
    if (part === '..' && kept.length > 0 && kept.at(-1) !== '..') kept.pop()
    else kept.push(part)
  }
  return kept.join('/')
}
