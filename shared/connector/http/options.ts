import { appendFileSync } from 'node:fs'
import * as z from 'zod'
import { IngestError } from '../../core/errors.ts'
import { loggingFetch, recordingFetch, replayingFetch } from './recording.ts'

/** The options that every connection over HTTP has; spread into a connector's own. */
export const httpOptions = {
  timeout_seconds: z.coerce.number().positive().default(120).meta({
    description: 'Until an answer begins, and between two parts of it.',
  }),
  max_requests: z.coerce.number().int().positive().optional().meta({
    description: 'Requests of one run; one more stops the stream with `source.quota_spent`. Default: no limit.',
  }),
  request_log: z.string().optional().meta({
    description: 'A file that gets one JSON line a request, without secrets.',
  }),
  record_requests: z.string().optional().meta({
    description:
      'A folder for a support case: every request and answer, secrets masked. It holds rows of the source; look through it before you hand it on.',
  }),
  replay_requests: z.string().optional().meta({
    description: 'A folder that `record_requests` wrote: answers come from there, and nothing is sent.',
  }),
}

export interface HttpOptions {
  request_log?: string | undefined
  record_requests?: string | undefined
  replay_requests?: string | undefined
}

/** The fetch that the options ask for. `secrets` are masked wherever they stand. */
export function fetchFor(options: HttpOptions, secrets: readonly string[], inner: typeof fetch = fetch): typeof fetch {
  const { request_log, record_requests, replay_requests } = options
  let chosen = replay_requests === undefined ? inner : replayingFetch(replay_requests, secrets)
  if (record_requests !== undefined) chosen = recordingFetch(chosen, record_requests, secrets)
  if (request_log !== undefined) chosen = loggingFetch(chosen, (line) => appendLine(request_log, line), secrets)
  return chosen
}

function appendLine(file: string, line: string): void {
  try {
    appendFileSync(file, line)
  } catch (cause) {
    throw new IngestError('config.invalid', `request_log: ${file} cannot be written`, { cause })
  }
}
