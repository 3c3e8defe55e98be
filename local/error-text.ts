import type { IngestError, Remedy } from '../shared/core/errors.ts'

const REMEDIES: Record<Remedy, string> = {
  fix: 'Nothing goes on until this is fixed; what was committed stays.',
  retry: 'This often passes by itself: run the command again.',
  resync: 'The table is copied again in full by the next run.',
  quarantine: 'The row is set aside with the reason; the rest goes on.',
  report: 'This is a fault of this program: please report it with what --debug shows.',
}

/** Where the article of a code is: `docs/runbook.md#source-unreachable`. */
export const runbookLink = (code: string) => `docs/runbook.md#${code.replace(/[._]/g, '-')}`

/** What a person reads: code and message, who acts, where to read on. */
export function errorText(error: IngestError, debug: boolean): string {
  const lines = [
    `error ${error.code}: ${error.message}`,
    `  ${REMEDIES[error.remedy]}`,
    `  More: ${runbookLink(error.code)}`,
  ]
  return debug ? [...lines, '', ...causes(error)].join('\n') : lines.join('\n')
}

/** The same for a program. */
export function errorRecord(error: IngestError, debug: boolean): object {
  const { code, message, remedy } = error
  return { type: 'error', code, message, remedy, runbook: runbookLink(code), ...(debug && { stack: causes(error) }) }
}

/** Usage and configuration are the caller's: 2. Everything else is a failure: 1. */
export const exitCodeOf = (error: IngestError) => (/^(usage|config)\./.test(error.code) ? 2 : 1)

function causes(error: unknown): string[] {
  const lines: string[] = []
  for (let at: unknown = error; at !== undefined && lines.length < 200; at = at instanceof Error ? at.cause : undefined)
    lines.push(...(at instanceof Error ? (at.stack ?? String(at)) : String(at)).split('\n'))
  return lines
}
