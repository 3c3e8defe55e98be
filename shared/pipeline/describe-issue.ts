import type { z } from 'zod'
import { didYouMean, nearest } from './nearest.ts'
import { knownKeys, schemaAt } from './schema-walk.ts'

/** Where a value stands in a file. `problem` returns `file:line: message`. */
export interface Places {
  problem(path: readonly PropertyKey[], message: string): string
}

/**
 * All issues of one parse, unknown keys first; a key that is missing because its name was mistyped is told once.
 * `root` is the schema that was parsed; `base` is the path of its value in the file.
 */
export function describeIssues(
  issues: readonly z.core.$ZodIssue[],
  root: z.ZodType,
  places: Places,
  base: readonly PropertyKey[] = [],
): string[] {
  const mistyped = new Set(
    issues.flatMap((issue) =>
      issue.code !== 'unrecognized_keys'
        ? []
        : issue.keys.map((key) => pathText([...issue.path, nearest(key, knownKeys(schemaAt(root, issue.path))) ?? ''])),
    ),
  )
  const told = issues.filter((issue) => issue.input !== undefined || !mistyped.has(pathText(issue.path)))
  const unknownFirst = told.toSorted((a, b) => rank(a) - rank(b))
  return unknownFirst.flatMap((issue) => describeIssue(issue, root, places, base))
}

const rank = (issue: z.core.$ZodIssue) => (issue.code === 'unrecognized_keys' ? 0 : 1)

/** One zod issue in the user's words, one sentence a problem: what was got, what was wanted, the nearest known name. */
function describeIssue(
  issue: z.core.$ZodIssue,
  root: z.ZodType,
  places: Places,
  base: readonly PropertyKey[],
): string[] {
  const path = [...base, ...issue.path]
  const at = path.length > 0 ? `${pathText(path)}: ` : ''
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schemaAt(root, issue.path))
    const inside = path.length > 0 ? ` in ${pathText(path)}` : ''
    return issue.keys.map((key) => {
      const guess = didYouMean(key, known) || `; known are ${known.join(', ')}`
      return places.problem([...path, key], `unknown key ${key}${inside}${guess}`)
    })
  }
  return [places.problem(path, at + wanted(issue))]
}

/** `pipelines.shop.objects[2].table`. */
export function pathText(path: readonly PropertyKey[]): string {
  return path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i > 0 ? '.' : ''}${String(key)}`)).join('')
}

function wanted(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'is missing'
      return `wanted ${article(TYPE_NAMES[issue.expected] ?? issue.expected)}, got ${got(issue.input)}`
    case 'invalid_value':
      if (issue.input === undefined) return `is missing; one of ${issue.values.join(', ')}`
      return `wanted one of ${issue.values.join(', ')}, got ${word(issue.input)}${didYouMean(String(issue.input), issue.values.map(String))}`
    case 'too_small':
      if (issue.origin === 'string') return 'is empty'
      if (issue.origin === 'array')
        return `needs at least ${issue.minimum} ${issue.minimum === 1 ? 'entry' : 'entries'}`
      return `wanted at least ${issue.minimum}, got ${got(issue.input)}`
    case 'too_big':
      return `wanted at most ${issue.maximum}, got ${got(issue.input)}`
    case 'invalid_key':
      return issue.issues.map((inner) => inner.message).join(', ')
    case 'invalid_union':
      return `wanted ${issue.errors
        .flatMap((errors) =>
          errors.map((inner) =>
            wanted(inner)
              .replace(/^wanted /, '')
              .replace(/, got .*/, ''),
          ),
        )
        .join(' or ')}`
    default:
      return issue.message
  }
}

const TYPE_NAMES: Record<string, string> = {
  string: 'text',
  int: 'whole number',
  boolean: 'true or false',
  object: 'map of keys',
  record: 'map of keys',
  array: 'list',
}

const article = (name: string) => (/^(text|true)/.test(name) ? name : `a ${name}`)

/** Kinds, not texts: a text may be a secret. */
function got(input: unknown): string {
  if (input === null) return 'nothing (is there a value after the colon?)'
  if (Array.isArray(input)) return 'a list'
  if (typeof input === 'object') return 'a map of keys'
  if (typeof input === 'number' || typeof input === 'boolean') return String(input)
  return 'text'
}

/** Where only a few words are allowed, the word itself. */
const word = (input: unknown) => (typeof input === 'string' && /^[\w-]{1,40}$/.test(input) ? input : got(input))
