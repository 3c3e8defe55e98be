import * as z from 'zod'
import { invariant } from '../../core/errors.ts'

/**
 * A place in the binary log, behind whole transactions. `domains`: MariaDB's last transaction of each domain,
 * `0-7-1234,1-7-88`. `sets`: MySQL's transactions by server, `3e11fa47-...:1-5:7,...`. `file`: `binlog.000012:4711` of the
 * one server named.
 */
export interface LogPlace {
  kind: 'domains' | 'sets' | 'file'
  text: string
  server?: string
}

export const logPlace = z.strictObject({
  kind: z.enum(['domains', 'sets', 'file']),
  text: z.string(),
  server: z.string().optional(),
})

/** A file of the log and an offset in it. */
export interface FileOffset {
  file: string
  offset: number
}

/** Files are numbered: `binlog.999999` comes before `binlog.1000000`. */
export function isBefore(a: FileOffset, b: FileOffset): boolean {
  const number = (file: string) => Number(file.slice(file.lastIndexOf('.') + 1))
  const files = number(a.file) - number(b.file)
  return files < 0 || (files === 0 && a.offset < b.offset)
}

export function parseFileOffset(text: string): FileOffset {
  const colon = text.lastIndexOf(':')
  invariant(colon > 0, 'a place in a file is name:offset')
  return { file: text.slice(0, colon), offset: Number(text.slice(colon + 1)) }
}

/** The name of one transaction, from the event that begins it. */
export type TransactionName =
  | { kind: 'domains'; domain: number; server: number; number: bigint }
  | { kind: 'sets'; server: string; number: bigint }

/** A place that moves from transaction to transaction. */
export class MovingPlace {
  readonly #kind: LogPlace['kind']
  readonly #server: string | undefined
  readonly #domains = new Map<number, string>()
  readonly #sets: Map<string, [bigint, bigint][]>
  #file: string

  constructor({ kind, text, server }: LogPlace) {
    this.#kind = kind
    this.#server = server
    this.#file = text
    this.#sets = kind === 'sets' ? parseSets(text) : new Map()
    if (kind === 'domains' && text !== '')
      for (const name of text.split(',')) this.#domains.set(Number(name.split('-')[0]), name.trim())
  }

  /** Takes one more transaction in, which ends at `end`. */
  pass(name: TransactionName | undefined, end: FileOffset): void {
    if (this.#kind === 'file') this.#file = `${end.file}:${end.offset}`
    else if (name?.kind === 'domains' && this.#kind === 'domains') this.#domains.set(name.domain, nameText(name))
    else if (name?.kind === 'sets' && this.#kind === 'sets') addTo(this.#sets, name)
  }

  get place(): LogPlace {
    const text =
      this.#kind === 'file'
        ? this.#file
        : this.#kind === 'domains'
          ? [...this.#domains]
              .sort(([a], [b]) => a - b)
              .map(([, name]) => name)
              .join(',')
          : setsText(this.#sets)
    return { kind: this.#kind, text, ...(this.#server !== undefined && { server: this.#server }) }
  }
}

/** As a place of this transaction alone is written; empty for one without a name. */
export function nameText(name: TransactionName | undefined): string {
  if (!name) return ''
  return name.kind === 'domains' ? `${name.domain}-${name.server}-${name.number}` : `${name.server}:${name.number}`
}

/** A reader at one place has everything that a reader at the other has. */
export const contains = (place: LogPlace, other: LogPlace): boolean =>
  place.kind === other.kind && place.server === other.server && (other.text === '' || holder(place)(other.text))

/** Says whether a reader at a place has what is before another place of the same kind, or a transaction, given as text. */
export function holder(place: LogPlace): (other: string) => boolean {
  if (place.kind === 'file') {
    const at = parseFileOffset(place.text)
    return (other) => other !== '' && !isBefore(at, parseFileOffset(other))
  }
  if (place.kind === 'domains') {
    const numbers = parseDomains(place.text)
    return (other) =>
      other !== '' && [...parseDomains(other)].every(([domain, number]) => number <= (numbers.get(domain) ?? -1n))
  }
  const sets = parseSets(place.text)
  return (other) =>
    other !== '' &&
    [...parseSets(other)].every(([server, intervals]) =>
      intervals.every(([from, to]) => sets.get(server)?.some(([first, last]) => first <= from && to <= last)),
    )
}

/** `0-7-1234,1-7-88` as the last number of each domain. */
function parseDomains(text: string): Map<string, bigint> {
  const names = text === '' ? [] : text.split(',').map((name) => name.trim().split('-'))
  return new Map(names.map(([domain, , number]) => [domain!, BigInt(number!)]))
}

/** `uuid:1-5:7,uuid:3` as intervals with both ends inside. Spaces and line feeds mean nothing. */
export function parseSets(text: string): Map<string, [bigint, bigint][]> {
  const sets = new Map<string, [bigint, bigint][]>()
  for (const part of text.replace(/\s/g, '').split(',').filter(Boolean)) {
    const [server, ...ranges] = part.split(':')
    const intervals = ranges.map((range): [bigint, bigint] => {
      const [from, to = from] = range.split('-')
      return [BigInt(from!), BigInt(to!)]
    })
    sets.set(server!.toLowerCase(), [...(sets.get(server!.toLowerCase()) ?? []), ...intervals])
  }
  return sets
}

function setsText(sets: ReadonlyMap<string, [bigint, bigint][]>): string {
  return [...sets]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([server, intervals]) =>
        `${server}:${intervals.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(':')}`,
    )
    .join(',')
}

/** Transactions come nearly in order: the interval that grows is nearly always the last. */
function addTo(sets: Map<string, [bigint, bigint][]>, { server, number }: { server: string; number: bigint }): void {
  const intervals = sets.get(server) ?? []
  sets.set(server, intervals)
  let at = intervals.length
  while (at > 0 && intervals[at - 1]![0] > number) at--
  const before = intervals[at - 1]
  const after = intervals[at]
  if (before && number <= before[1]) return
  const joinsBefore = before && before[1] + 1n === number
  const joinsAfter = after && after[0] - 1n === number
  if (joinsBefore && joinsAfter) intervals.splice(at - 1, 2, [before[0], after[1]])
  else if (joinsBefore) before[1] = number
  else if (joinsAfter) after[0] = number
  else intervals.splice(at, 0, [number, number])
}

/** The set as COM_BINLOG_DUMP_GTID takes it: server ids of 16 bytes, intervals without their end. */
export function encodeSets(text: string): Buffer {
  const sets = parseSets(text)
  const int64 = (value: bigint) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(value)
    return bytes
  }
  const parts = [int64(BigInt(sets.size))]
  for (const [server, intervals] of sets) {
    parts.push(Buffer.from(server.replaceAll('-', ''), 'hex'), int64(BigInt(intervals.length)))
    for (const [from, to] of intervals) parts.push(int64(from), int64(to + 1n))
  }
  return Buffer.concat(parts)
}
