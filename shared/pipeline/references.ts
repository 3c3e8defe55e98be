import { IngestError } from '../core/errors.ts'

/** Where the values behind `${env:NAME}`, `${file:path}` and `${secret:name}` come from. Undefined: there is none. */
export interface ReferenceSource {
  env(name: string): string | undefined
  /** The file's text; relative paths are relative to the configuration file. */
  file(path: string): Promise<string | undefined>
  secret(name: string): Promise<string | undefined>
}

type ReferenceKind = keyof ReferenceSource

const KINDS: readonly string[] = ['env', 'file', 'secret'] satisfies ReferenceKind[]
const REFERENCE = /\$(\$\{)|\$\{([^}]*)\}/g

/** True when the text holds a reference, so that its value is not known yet. */
export function hasReference(text: string): boolean {
  return [...text.matchAll(REFERENCE)].some((match) => match[2] !== undefined)
}

/**
 * The problems of the references in a text, without looking at what they point to: an unknown kind, no name, a bundle's
 * variable.
 */
export function referenceProblems(text: string): string[] {
  return [...text.matchAll(REFERENCE)].flatMap((match) => {
    if (match[2] === undefined) return []
    const { kind, name } = parse(match[2])
    if (KINDS.includes(kind) && name !== '') return []
    const bundle = /^(var|bundle|resources|workspace)\./.test(match[2])
    const problem = bundle
      ? `\${${match[2]}} is a variable of a Databricks bundle; write its value`
      : `\${${match[2]}} is not understood; use \${env:NAME}, \${file:path} or \${secret:name}, and $\${ for the signs themselves`
    return [problem]
  })
}

/**
 * The text with every reference replaced by its value. `$${` stands for `${`. The end-of-line at the end of a file is
 * not part of its value. `onValue` hears each value and where it came from, for redaction.
 *
 * @throws IngestError `config.invalid` (fix) for an unknown kind, `config.secret_missing` (fix) for one that points at nothing
 */
export async function resolveText(
  text: string,
  source: ReferenceSource,
  onValue: (value: string, kind: ReferenceKind) => void,
): Promise<string> {
  const problem = referenceProblems(text)[0]
  if (problem) throw new IngestError('config.invalid', problem)
  let resolved = ''
  let end = 0
  for (const match of text.matchAll(REFERENCE)) {
    resolved += text.slice(end, match.index)
    end = match.index + match[0].length
    if (match[2] === undefined) {
      resolved += '${'
      continue
    }
    const { kind, name } = parse(match[2])
    const value = await lookUp(source, kind as ReferenceKind, name)
    onValue(value, kind as ReferenceKind)
    resolved += value
  }
  return resolved + text.slice(end)
}

function parse(inside: string): { kind: string; name: string } {
  const colon = inside.indexOf(':')
  return colon < 0
    ? { kind: inside, name: '' }
    : { kind: inside.slice(0, colon).trim(), name: inside.slice(colon + 1).trim() }
}

async function lookUp(source: ReferenceSource, kind: ReferenceKind, name: string): Promise<string> {
  const value = kind === 'env' ? source.env(name) : await source[kind](name)
  if (value !== undefined) return kind === 'file' ? value.replace(/\r?\n$/, '') : value
  const missing = {
    env: `the environment variable ${name} is not set`,
    file: `there is no readable file ${name}`,
    secret: `there is no secret ${name}; store it with lakeflow secret set ${name}`,
  }
  throw new IngestError('config.secret_missing', missing[kind])
}
