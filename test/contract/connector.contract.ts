import { expect, test } from '@jest/globals'
import type {
  ChangeStream,
  Connector,
  ReadMode,
  Selection,
  SnapshotStream,
  Stream,
} from '../../shared/connector/connector.ts'
import type { Message } from '../../shared/core/change.ts'
import type { Clock } from '../../shared/core/clock.ts'
import { IngestError } from '../../shared/core/errors.ts'
import type { Json } from '../../shared/core/json.ts'
import { canonicalRow } from '../support/block-rows.ts'
import { connect } from '../support/connector-run.ts'
import { type Law, LawBroken, requireSameRows } from '../support/laws.ts'
import { Replica, type TextRow, throughJson } from '../support/replica.ts'

/** A source with one table that a test may change: a real server, or a simulator written from the vendor's documentation. */
export interface ConnectorWorld extends AsyncDisposable {
  connector: Connector
  settings: unknown
  /** `schema.table`. Every column has a value in some row. */
  table: string
  modes: readonly ReadMode[]
  /** Default: the machine's. */
  clock?: Clock
  /** Between two looks for rows that are not final yet. Default 25. */
  waitMs?: number
  /** Settings that cannot work. */
  broken: readonly unknown[]
  selection(mode: ReadMode): Partial<Selection>
  /** One transaction of the source: inserts and updates, and deletes where `deletes`. Random, by the given number. */
  change(random: number, deletes: boolean): Promise<void>
  /** The rows that are there now, as texts. */
  rows(): Promise<TextRow[]>
  /** Passing faults by name: each call makes the source behave so at some of the requests to come. None must be seen in the rows. */
  faults?: Readonly<Record<string, () => void>>
}

/** What every connector promises, asked of one in every mode it has (docs/architecture.md, "The connector contract"). */
export function connectorContract(
  name: string,
  open: () => Promise<ConnectorWorld>,
  modes: readonly ReadMode[],
  faults: readonly string[] = [],
): void {
  test(`${name}: settings that cannot work are an error with a remedy for the user, or an unmet requirement`, async () => {
    await using world = await open()
    for (const settings of world.broken) {
      const results = await using1(connect(world.connector, settings, world.clock), (source) =>
        world.connector.check(source.context).catch((error: unknown) => error),
      )
      if (results instanceof IngestError) expect(['fix', 'retry']).toContain(results.remedy)
      else expect(results).toContainEqual(expect.objectContaining({ met: false }))
    }
  })

  test(`${name}: discovery is stable, and every column it declares has a value in some row`, async () => {
    await using world = await open()
    await using source = await connect(world.connector, world.settings, world.clock)
    const first = await source.connector.discover(source.context)
    const second = await source.connector.discover(source.context)
    const table = await source.discover(world.table)
    const rows = await world.rows()

    expect(second).toEqual(first)
    expect(table.columns.fields.filter((field) => !rows.some((row) => row[field.name] != null))).toEqual([])
    expect(table.modes).toEqual(expect.arrayContaining([...world.modes]))
    expect(world.modes).toEqual(modes)
  })

  test.each(modes)(`${name}: %s ends with the source's rows, each once, whatever is read again`, async (mode) => {
    await using world = await open()
    await copyIsWhole(world, mode)
  })

  test.each(modes)(`${name}: %s stops at the abort signal`, async (mode) => {
    await using world = await open()
    await using source = await connect(world.connector, world.settings, world.clock)
    const stream = await source.open(world.table, mode, world.selection(mode))
    const cutoff = stream.kind === 'changes' ? await stream.head() : null
    source.abort(new Error('deadline'))
    const read = async () => {
      for await (const _ of stream.kind === 'changes'
        ? stream.changes(cutoff!)
        : stream.read((await stream.split())[0]!));
    }

    await read().catch((error: Error) => expect(error.message).toBe('deadline'))
  })

  test.each(modes)(`${name}: the pieces of %s go on from each of their checkpoints`, async (mode) => {
    await using world = await open()
    await piecesResume(world, mode)
  })

  for (const fault of faults)
    test.each(modes)(`${name}: %s is whole through ${fault}`, async (mode) => {
      await using world = await open()
      world.faults![fault]!()
      await copyIsWhole(world, mode)
    })

  const cases = modes.flatMap((mode) =>
    Object.entries(mutants)
      .filter(([, mutant]) => mode !== 'snapshot' || mutant.ofSnapshots)
      .map(([mutant]) => [mode, mutant] as const),
  )
  test.each(cases)(`${name}: %s with %s is caught, and for that`, async (mode, mutant) => {
    await using world = await open()
    const { caughtBy, wrap, laws } = mutants[mutant as keyof typeof mutants]
    const caught: unknown = await caughtBy(world, mode, wrap).catch((error: unknown) => error)
    if (!(caught instanceof LawBroken)) throw new Error(`was not caught as a law that is broken: ${caught}`)
    expect(laws).toContain(caught.law)
  })

  const changing = modes.filter((mode) => mode !== 'snapshot')
  if (changing.length === 0) return

  test.each(changing)(`${name}: %s tells of deletes`, async (mode) => {
    await using world = await open()
    await deletesArrive(world, mode)
  })

  test.each(changing)(`${name}: %s obeys the law of cursors under kills and resumes`, async (mode) => {
    await using world = await open()
    await cursorsHold(world, mode)
  })

  test.each(changing)(`${name}: %s ends while rows keep arriving`, async (mode) => {
    await using world = await open()
    await using source = await connect(world.connector, world.settings, world.clock)
    const stream = (await source.open(world.table, mode, world.selection(mode))) as ChangeStream
    const replica = new Replica(stream)
    await replica.load()
    let writing = true
    const writer = (async () => {
      for (let n = 0; writing && n < 5000; n++) {
        await world.change(n, mode === 'cdc')
        await new Promise((done) => setImmediate(done))
      }
    })()
    for (let round = 0; round < 5; round++) await replica.follow(stream)
    writing = false
    await writer

    await settled(world, mode, replica, stream)
  })
}

/** The whole copy equals the source; pieces can be read again; together they hold each row once. */
export async function copyIsWhole(
  world: ConnectorWorld,
  mode: ReadMode,
  wrap: (stream: Stream) => Stream = same,
): Promise<void> {
  for (let n = 0; n < 10; n++) await world.change(n, true)
  await using source = await connect(world.connector, world.settings, world.clock)
  const stream = wrap(await source.open(world.table, mode, world.selection(mode)))
  const replica = new Replica(stream)
  await replica.load()
  if (stream.kind === 'changes') await settled(world, mode, replica, stream)
  else requireSameRows(replica.sorted(), byKey(await world.rows(), stream), stream.key)
  await replica.load()
  requireSameRows(replica.sorted(), byKey(await world.rows(), stream), stream.key)
}

/** What was read of a piece before one of its checkpoints, and what is read from there on, are the piece: nothing twice. */
export async function piecesResume(world: ConnectorWorld, mode: ReadMode): Promise<void> {
  await using source = await connect(world.connector, world.settings, world.clock)
  const stream = await source.open(world.table, mode, world.selection(mode))
  const cutoff = stream.kind === 'changes' ? throughJson(await stream.head()) : null
  const read = (piece: Json) => (stream.kind === 'changes' ? stream.backfill(piece, cutoff) : stream.read(piece))
  const pieces = stream.kind === 'changes' ? await stream.split(cutoff) : await stream.split()
  for (const piece of pieces) {
    const whole = new Replica(stream)
    await whole.read(read(throughJson(piece)))
    const places = whole.placesRead.slice(0, 4)
    for (const [index, place] of places.entries()) {
      const resumed = new Replica(stream)
      await resumed.readUpTo(read(throughJson(piece)), index)
      await resumed.read(read(throughJson(place)))
      requireSameRows(resumed.sorted(), whole.sorted(), stream.key)
    }
  }
}

/**
 * Changes are read while the source changes, killed after a random message and resumed by a new connection from the
 * last checkpoint, then once more from every checkpoint passed. The end is the source's table each time.
 */
export async function cursorsHold(
  world: ConnectorWorld,
  mode: ReadMode,
  wrap: (stream: Stream) => Stream = same,
): Promise<void> {
  const random = randomNumbers(mode.length)
  await using first = await connect(world.connector, world.settings, world.clock)
  const stream = wrap(await first.open(world.table, mode, world.selection(mode))) as ChangeStream
  const replica = new Replica(stream)
  await replica.load()
  const before = replica.copy()

  for (let round = 0; round < 12; round++) {
    for (let n = random() % 3; n >= 0; n--) await world.change(random(), mode === 'cdc')
    await using again = await connect(world.connector, world.settings, world.clock)
    const resumed = wrap(await again.open(world.table, mode, world.selection(mode))) as ChangeStream
    // Nothing is acknowledged by a killed process.
    await replica.follow(withoutAcknowledge(resumed), 1 + (random() % 7))
  }
  await settled(world, mode, replica, withoutAcknowledge(stream))
  const texts = replica.checkpoints.map((cursor) => JSON.stringify(cursor))
  if (new Set(texts).size < texts.length) throw new LawBroken('cursors grow', 'a checkpoint came twice')

  for (const cursor of [before.cursor, ...replica.checkpoints.slice(0, 5)]) {
    const resumed = cursor === before.cursor ? before : replica.copy()
    resumed.cursor = throughJson(cursor)
    await settled(world, mode, resumed, withoutAcknowledge(stream))
  }
}

/** Rows that were deleted after the copy are gone from it. */
export async function deletesArrive(
  world: ConnectorWorld,
  mode: ReadMode,
  wrap: (stream: Stream) => Stream = same,
): Promise<void> {
  await using source = await connect(world.connector, world.settings, world.clock)
  const stream = wrap(await source.open(world.table, mode, world.selection(mode))) as ChangeStream
  const replica = new Replica(stream)
  await replica.load()
  const before = replica.rows.size
  for (let n = 0; n < 40 && (await world.rows()).length >= before; n++) await world.change(n, true)
  for (let n = 0; n < 40; n++) await world.change(n, true)
  await settled(world, mode, replica, stream)
}

/** Reads on until there is no more, and compares. Some sources hold young rows back until they are final. */
async function settled(world: ConnectorWorld, mode: ReadMode, replica: Replica, stream: ChangeStream): Promise<void> {
  const wanted = byKey(await world.rows(), stream)
  for (let tries = 0; ; tries++) {
    await replica.follow(stream)
    if (mode === 'query' && stream.keys) await replica.sweep(stream)
    try {
      return requireSameRows(replica.sorted(), wanted, stream.key)
    } catch (error) {
      if (tries >= 20) throw error
    }
    await new Promise((done) => setTimeout(done, world.waitMs ?? 25))
  }
}

/**
 * Streams that are wrong on purpose, which part of the suite must see it, and as which broken law: the suite is worth what it
 * catches.
 */
export const mutants = {
  'a cursor that runs ahead of its rows': {
    caughtBy: cursorsHold,
    wrap: (stream: Stream) => changed(stream, ahead),
    laws: ['no row is lost', 'a row has its last values', 'a deleted row is gone'],
    ofSnapshots: false,
  },
  'a lost delete': {
    caughtBy: deletesArrive,
    wrap: (stream: Stream) => {
      const { keys: _, ...rest } = changed(stream, withoutDeletes) as ChangeStream
      return rest
    },
    laws: ['a deleted row is gone'],
    ofSnapshots: false,
  },
  'a skipped page': {
    caughtBy: copyIsWhole,
    wrap: withoutOnePage,
    laws: ['no row is lost'],
    ofSnapshots: true,
  },
  'a page that comes twice': {
    caughtBy: copyIsWhole,
    wrap: withAPageTwice,
    laws: ['a row is read once'],
    ofSnapshots: true,
  },
} as const satisfies Record<string, { laws: readonly Law[]; [fact: string]: unknown }>

type Messages = AsyncIterable<Message<Json>>

function changed(stream: Stream, mutate: (messages: Messages) => Messages): Stream {
  return stream.kind === 'snapshot'
    ? stream
    : { ...stream, changes: (after, options) => mutate(stream.changes(after, options)) }
}

async function* ahead(messages: Messages): Messages {
  const all: Message<Json>[] = []
  for await (const message of messages) all.push(message)
  const last = all.findLast((message) => message.op === 'checkpoint')
  if (last) yield last
  yield* all
}

async function* withoutDeletes(messages: Messages): Messages {
  for await (const message of messages) if (message.op !== 'delete') yield message
}

/** The first page of the copy is not handed over. */
function withoutOnePage(stream: Stream): Stream {
  let skipped = false
  return copied(stream, async function* (messages) {
    for await (const message of messages) {
      if (message.op === 'checkpoint' || skipped) yield message
      skipped ||= message.op !== 'checkpoint'
    }
  })
}

/** The first page is handed over twice, as after a retry that forgot what it had given. */
function withAPageTwice(stream: Stream): Stream {
  let doubled = false
  return copied(stream, async function* (messages) {
    for await (const message of messages) {
      yield message
      if (message.op !== 'checkpoint' && !doubled) {
        doubled = true
        yield message
      }
    }
  })
}

const copied = (stream: Stream, mutate: (messages: Messages) => Messages): Stream =>
  stream.kind === 'snapshot'
    ? { ...stream, read: (piece) => mutate(stream.read(piece)) }
    : { ...stream, backfill: (piece, cutoff) => mutate(stream.backfill(piece, cutoff)) }

const same = (stream: Stream): Stream => stream

const withoutAcknowledge = (stream: ChangeStream): ChangeStream => {
  const { acknowledge: _, ...rest } = stream
  return rest
}

function byKey(rows: readonly TextRow[], stream: ChangeStream | SnapshotStream): TextRow[] {
  const keyOf = (row: TextRow) =>
    JSON.stringify((stream.key.length > 0 ? stream.key : Object.keys(row)).map((name) => row[name]))
  return [...rows].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)).map((row) => canonicalRow(row, stream.schema.fields))
}

function randomNumbers(seed: number): () => number {
  let state = seed * 7919 + 17
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return state >>> 8
  }
}

async function using1<O extends AsyncDisposable, T>(opening: Promise<O>, work: (opened: O) => Promise<T>): Promise<T> {
  await using opened = await opening
  return await work(opened)
}
