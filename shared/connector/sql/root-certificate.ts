import { readFileSync } from 'node:fs'
import { IngestError } from '../../core/errors.ts'

/** `sslrootcert` of a connection: a certificate, or the path of a file with it. @throws IngestError `config.invalid` (fix) */
export function rootCertificate(pemOrPath: string): string {
  if (pemOrPath.includes('-----BEGIN')) return pemOrPath
  try {
    return readFileSync(pemOrPath, 'utf8')
  } catch (cause) {
    throw new IngestError('config.invalid', `sslrootcert: the file ${pemOrPath} cannot be read`, { cause })
  }
}
