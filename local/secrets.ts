import { join } from 'node:path'
import { fileSecrets } from '../shared/secrets/disk.ts'
import type { Secrets } from '../shared/secrets/secrets.ts'

/** The secrets of a project: encrypted files below its `.lakeflow/secrets`, and their key. */
export const secretsIn = (folder: string): Secrets => fileSecrets(join(folder, '.lakeflow', 'secrets'))
