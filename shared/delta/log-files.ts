/** The files of a table's `_delta_log` by name (Delta protocol, "File Types"). Versions are 20 digits, zero padded. */
export type LogFile =
  | { kind: 'commit'; version: number }
  | { kind: 'checkpoint'; version: number; form: 'classic' }
  | { kind: 'checkpoint'; version: number; form: 'multi-part'; part: number; parts: number }
  | { kind: 'checkpoint'; version: number; form: 'v2'; encoding: 'json' | 'parquet' }
  | { kind: 'compacted'; version: number; from: number }
  | { kind: 'checksum'; version: number }

/** The folder of a table's log, with a trailing slash. */
export const logFolder = (root: string): string => (root === '' ? '_delta_log/' : `${root}/_delta_log/`)

export const versionName = (version: number): string => String(version).padStart(20, '0')

export const commitPath = (root: string, version: number): string => `${logFolder(root)}${versionName(version)}.json`

export const checkpointPath = (root: string, version: number): string =>
  `${logFolder(root)}${versionName(version)}.checkpoint.parquet`

export const checksumPath = (root: string, version: number): string => `${logFolder(root)}${versionName(version)}.crc`

export const lastCheckpointPath = (root: string): string => `${logFolder(root)}_last_checkpoint`

const name =
  /^(\d{20})\.(?:(json)|(crc)|(\d{20})\.compacted\.json|checkpoint\.parquet|checkpoint\.(\d{10})\.(\d{10})\.parquet|checkpoint\.([0-9a-fA-F-]{36})\.(json|parquet))$/

/** What a file of the log is, by its name without folder; undefined for everything else. */
export function parseLogFile(fileName: string): LogFile | undefined {
  const match = name.exec(fileName)
  if (!match) return undefined
  const version = Number(match[1])
  if (match[2]) return { kind: 'commit', version }
  if (match[3]) return { kind: 'checksum', version }
  if (match[4]) return { kind: 'compacted', version: Number(match[4]), from: version }
  if (match[5]) {
    return { kind: 'checkpoint', version, form: 'multi-part', part: Number(match[5]), parts: Number(match[6]) }
  }
  if (match[7]) return { kind: 'checkpoint', version, form: 'v2', encoding: match[8] as 'json' | 'parquet' }
  return { kind: 'checkpoint', version, form: 'classic' }
}
