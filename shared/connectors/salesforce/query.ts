import { createHash } from 'node:crypto'
import * as z from 'zod'
import type { ChangeStream } from '../../connector/connector.ts'
import { checkpoint, type Message } from '../../core/change.ts'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import { logDeletes, readDeleteLog, softDeletes } from './deletes.ts'
import { cursorFields } from './describe.ts'
import { formulaColumns, readFormulas } from './formulas.ts'
import { readPiece, splitById } from './pieces.ts'
import { readRows } from './read-rows.ts'
import { countRows } from './rest.ts'
import { fieldNamed, instant } from './soql.ts'
import type { Source } from './source.ts'

/** Moments of the org's clock, in milliseconds. */
const Cursor = z.strictObject({
  /** Rows that changed up to here have been read. */
  atMs: z.number().int(),
  /** The delete log has been read up to here. */
  deletesMs: z.number().int(),
  formulas: z.strictObject({
    atMs: z.number().int(),
    sinceMs: z.number().int().optional(),
    after: z.string().optional(),
  }),
  /** A window that a bulk job reads for a certain query. Its rows are handed over as one, so none of them is before this. */
  window: z
    .strictObject({
      fromMs: z.number().int(),
      toMs: z.number().int(),
      job: z.strictObject({ id: z.string(), looks: z.number().optional(), of: z.string() }),
    })
    .optional(),
  /** When the log was found to have forgotten deletes, on our clock: keys must be compared after it. */
  gapMs: z.number().int().optional(),
})
type Cursor = z.output<typeof Cursor>

/**
 * Rows whose time of change lies in a window that ends at a finished second of the org's clock. The window begins before
 * the cursor, for transactions that end after their rows got their time (`lookback_seconds`); where a row may not come twice,
 * it ends that much earlier instead. Deletes come from the recycle bin and the delete log.
 */
export function queryStream(source: Source): ChangeStream {
  const { org, object, selection } = source
  const cursorField = cursorOf(source)
  const lookbackMs = selection.appendOnly ? 0 : org.config.lookback_seconds * 1000
  const lagSeconds = org.config.cursor_lag_seconds + (selection.appendOnly ? org.config.lookback_seconds : 0)
  const formulas = selection.appendOnly ? [] : formulaColumns(source)
  const upto = (ms: number) => `${cursorField} <= ${instant(ms)}`
  const head = async () => (await org.finishedSecond()) - Math.ceil(lagSeconds) * 1000
  if (selection.appendOnly && formulaColumns(source).length > 0)
    selection.notice?.(
      `${object.name}: rows are only added, so formula fields keep the value they were first read with`,
    )

  // A job of other columns or another filter has the wrong rows.
  const of = createHash('sha256')
    .update(JSON.stringify([source.columns, source.conditions]))
    .digest('hex')

  async function* read(cursor: Cursor, { fromMs, toMs, bulk, job }: Window): AsyncGenerator<Message<Json>> {
    const inside = [`${cursorField} > ${instant(fromMs)}`, upto(toMs)]
    const conditions = [...inside, ...source.conditions]
    const range = { conditions, bulk, job: job?.of === of ? job : undefined }
    yield* readRows(source, range, (left) =>
      left.job && left.job.locator === undefined
        ? plain({ ...cursor, window: { fromMs, toMs, job: { id: left.job.id, looks: left.job.looks, of } } })
        : undefined,
    )
    yield* softDeletes(source, inside, cursorField)
  }

  return {
    kind: 'changes',
    name: `objects.${object.name}`,
    schema: source.schema,
    key: selection.key,
    async head() {
      const atMs = await head()
      return { atMs, deletesMs: atMs, formulas: { atMs } } satisfies Cursor
    },
    split: (cutoff) => splitById(source, [upto(parseCursor(cutoff).atMs), ...source.conditions]),
    backfill: (piece, cutoff) => readPiece(source, piece, [upto(parseCursor(cutoff).atMs), ...source.conditions]),
    async *changes(json) {
      let cursor = parseCursor(json)
      const untilMs = await head()
      if (cursor.window) {
        // Its rows are of when it was begun: what was deleted since comes after them.
        const { window, ...rest } = cursor
        yield* read(rest, { ...window, bulk: true })
        cursor = { ...rest, atMs: Math.max(rest.atMs, window.toMs) }
        // A window before the cursor is followed by one behind it.
        if (window.toMs > rest.atMs) yield checkpoint<Json>(plain(cursor))
      }
      if (untilMs <= cursor.atMs) return
      if (object.replicateable) {
        const log = await readDeleteLog(source, cursor.deletesMs, untilMs)
        yield* logDeletes(source, log, cursorField)
        cursor = { ...cursor, deletesMs: log.coveredMs, ...(log.gap && { gapMs: org.clock.now() }) }
      }
      for await (const window of windows(source, cursorField, cursor.atMs - lookbackMs, untilMs)) {
        yield* read(cursor, window)
        if (window.toMs <= cursor.atMs) continue
        cursor = { ...cursor, atMs: window.toMs }
        yield checkpoint<Json>(plain(cursor))
      }
      const { atMs, sinceMs } = cursor.formulas
      const due = sinceMs !== undefined || untilMs - atMs >= org.config.formula_interval_seconds * 1000
      if (formulas.length === 0 || !due) return
      const conditions = [upto(untilMs), ...source.conditions]
      yield* readFormulas(
        source,
        { conditions, cursor: cursorField, place: cursor.formulas, nowMs: untilMs },
        (place) => plain({ ...cursor, formulas: place }),
      )
    },
    mustSweepSince: (json) => parseCursor(json).gapMs,
    async *keys() {
      const bulk = inBulk(source, await countRows(org, object.name, source.conditions))
      yield* readRows({ ...source, columns: ['Id'], loose: false }, { conditions: source.conditions, bulk })
    },
  }
}

interface Window {
  fromMs: number
  toMs: number
  /** Read by a bulk job: the one that an earlier run began, or a new one. */
  bulk: boolean
  job?: NonNullable<Cursor['window']>['job']
}

/** Windows of at most one bulk job's rows, halved until they are; a single second is not cut. */
async function* windows(
  source: Source,
  cursor: string,
  fromMs: number,
  toMs: number,
): AsyncGenerator<Window, void, undefined> {
  const { org, object } = source
  const conditions = [`${cursor} > ${instant(fromMs)}`, `${cursor} <= ${instant(toMs)}`, ...source.conditions]
  const middle = fromMs + Math.floor((toMs - fromMs) / 2000) * 1000
  const rows = await countRows(org, object.name, conditions)
  if ((rows ?? Infinity) <= org.config.bulk_chunk_rows || middle <= fromMs)
    yield { fromMs, toMs, bulk: inBulk(source, rows) }
  else {
    yield* windows(source, cursor, fromMs, middle)
    yield* windows(source, cursor, middle, toMs)
  }
}

/** What takes too long to count is large. */
const inBulk = ({ org }: Source, rows = Infinity) => rows > org.config.bulk_threshold_rows

function cursorOf({ object, selection }: Source): string {
  const [name, ...more] = selection.cursorColumns ?? []
  if (name === undefined || more.length > 0)
    throw new IngestError('config.invalid', `to read ${object.name} by query, give one field in cursor_columns`)
  const field = fieldNamed(name, object.fields)
  if (cursorFields.includes(field.name) && field.type === 'datetime') return field.name
  throw new IngestError(
    'config.invalid',
    `${object.name}.${name} is no cursor: it is one of ${cursorFields.join(', ')}`,
  )
}

function parseCursor(json: Json): Cursor {
  const parsed = Cursor.safeParse(json)
  if (!parsed.success) throw new IngestError('state.invalid', 'the stored cursor is not understood')
  return parsed.data
}

const plain = (cursor: Cursor): Json => JSON.parse(JSON.stringify(cursor))
