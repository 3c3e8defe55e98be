import type { Run, StreamSummary } from '../shared/state/runs.ts'
import { changeText } from '../shared/sync/event-log.ts'
import type { SyncProgress } from '../shared/sync/progress.ts'
import { bytes, count, duration, rows as rowsText } from './numbers.ts'
import type { Output } from './output.ts'

interface Line {
  text: string
  startedAtMs: number
}

/**
 * Shows a running sync: on a terminal one line a stream, drawn again in place, and a lasting line for what ended; else one
 * JSON object a line. `records` decides it another way.
 */
export class ProgressDisplay {
  readonly #output: Output
  readonly #pipeline: string
  readonly #now: () => number
  readonly #lines = new Map<string, Line>()
  readonly #records: boolean
  readonly #quiet: boolean

  /** `quiet`: a stream in which nothing changed is not told. */
  constructor(output: Output, pipeline: string, options: { now: () => number; quiet?: boolean; records?: boolean }) {
    this.#output = output
    this.#pipeline = pipeline
    this.#now = options.now
    this.#quiet = options.quiet ?? false
    this.#records = options.records ?? (output.json || !output.terminal)
  }

  note(text: string): void {
    if (this.#records) this.#output.record({ type: 'note', pipeline: this.#pipeline, message: text })
    else this.#output.note(`note ${text}`)
  }

  report(progress: SyncProgress): void {
    if (this.#records) {
      this.#record(progress)
      return
    }
    this.#change(progress)
    this.#output.draw(
      [...this.#lines].map(
        ([stream, { text, startedAtMs }]) => `  ${stream}  ${text}  ${duration(this.#now() - startedAtMs)}`,
      ),
    )
  }

  /** The last words of a run. */
  finish(run: Run): void {
    if (this.#records) {
      this.#output.record({ type: 'run', ...run })
      return
    }
    const rows = run.streams.reduce((sum, stream) => sum + stream.rows, 0)
    const size = run.streams.reduce((sum, stream) => sum + stream.bytes, 0)
    const ms = (run.endedAtMs ?? this.#now()) - run.startedAtMs
    const speed = rows > 0 && ms > 0 ? `, ${count((rows / ms) * 1000)} rows/s` : ''
    const failed = run.streams.filter((stream) => stream.state === 'FAILED').length
    const states = {
      COMPLETED: 'done',
      FAILED: `${failed} of ${run.streams.length} tables failed`,
      CANCELED: 'stopped',
      RUNNING: 'running',
    }
    this.#output.line(
      `${run.pipeline}: ${states[run.state]}, ${rowsText(rows)} (${bytes(size)}) in ${duration(ms)}${speed}`,
    )
  }

  #record(progress: SyncProgress): void {
    const { kind, ...rest } = progress
    const error = 'error' in rest ? { error: { code: rest.error.code, message: rest.error.message } } : {}
    this.#output.record({ type: kind, pipeline: this.#pipeline, ...rest, ...error })
  }

  #change(progress: SyncProgress): void {
    const { stream } = progress
    const old = this.#lines.get(stream)
    const show = (text: string) => this.#lines.set(stream, { text, startedAtMs: old?.startedAtMs ?? this.#now() })
    switch (progress.kind) {
      case 'started':
        show(progress.mode === 'full' ? 'full copy' : 'changes')
        break
      case 'reading': {
        const pieces =
          progress.pieces && progress.pieces.all > 1 ? `  ${progress.pieces.done}/${progress.pieces.all} pieces` : ''
        show(`${rowsText(progress.rows)}  ${bytes(progress.bytes)}  ${count(progress.rowsPerSecond)} rows/s${pieces}`)
        break
      }
      case 'committed':
        show(`${rowsText(progress.rows)} committed as version ${progress.version}`)
        break
      case 'retrying':
        show(`waits ${duration(progress.waitMs)}, then tries again: ${progress.error.message}`)
        this.#output.line(
          `  ${stream}  ${progress.error.code}: ${progress.error.message}; next try in ${duration(progress.waitMs)}`,
        )
        break
      case 'resyncing':
        this.#output.line(`  ${stream}  ${progress.error.code}: ${progress.error.message}; copied again in full`)
        break
      case 'schema_change':
        this.#output.line(`  ${stream}  ${changeText(progress.change)}`)
        break
      case 'waiting':
        this.#output.line(
          `  ${stream}  a full refresh waits for its window, which opens at ${new Date(progress.untilMs).toISOString()}`,
        )
        break
      case 'note':
        this.#output.line(`  ${stream}  ${progress.message}`)
        break
      case 'finished':
        this.#lines.delete(stream)
        for (const text of finishedText(progress.summary, this.#quiet)) this.#output.line(`  ${text}`)
    }
  }
}

function finishedText(summary: StreamSummary, quiet: boolean): string[] {
  const { stream, state, rows, bytes: size, version, durationMs, rejected, mode, error } = summary
  if (error) return [`${stream}  FAILED ${error.code}: ${error.message}`]
  if (state === 'CANCELED') return [`${stream}  stopped; the next run goes on from here`]
  const aside = rejected > 0 ? `, ${count(rejected)} set aside` : ''
  if (rows === 0 && mode === 'changes') return quiet ? [] : [`${stream}  nothing new${aside}`]
  const speed = durationMs > 0 ? `, ${count((rows / durationMs) * 1000)} rows/s` : ''
  const at = version === undefined ? '' : `, version ${version}`
  return [
    `${stream}  ${rowsText(rows)}${mode === 'changes' ? ' changed' : ''} (${bytes(size)})${at}, ${duration(durationMs)}${speed}${aside}`,
  ]
}
