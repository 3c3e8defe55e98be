import * as z from 'zod'
import { CsvRecords } from '../../connector/http/csv-records.ts'
import { IncompleteBody } from '../../connector/http/errors.ts'
import { withQuery } from '../../connector/http/pages.ts'
import type { Message } from '../../core/change.ts'
import { IngestError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import { plain, translateJob, vendorCode } from './errors.ts'
import type { Org } from './org.ts'

/** A bulk query job and the page of its results to read next. */
export interface JobPlace {
  id: string
  locator?: string | undefined
  /** How often it was looked at before it was complete: two places of a job that waits are not the same. */
  looks?: number | undefined
}

export interface BulkQuery {
  org: Org
  columns: readonly string[]
  doing: string
  query: string
}

const Job = z.looseObject({
  id: z.string(),
  state: z.enum(['UploadComplete', 'InProgress', 'JobComplete', 'Failed', 'Aborted']),
  errorMessage: z.string().optional(),
})

/** Rows of one page of results: some tens of megabytes, and the work that a lost connection repeats at most. */
const PAGE_ROWS = 50_000
const FIRST_POLL_MS = 500
const MAX_POLL_MS = 15_000

/**
 * The rows of a query by the Bulk API 2.0, as blocks of CSV (Bulk API 2.0 Developer Guide, "Query"). The query is in the order
 * of ids. `left` makes messages of the place reached: of the job when it begins, and of job and last id after each page. A
 * job of an earlier run is taken up when it is still there. It is deleted when it has been read.
 */
export async function* bulkBlocks(
  query: BulkQuery,
  earlier: JobPlace | undefined,
  left: (job: JobPlace, after?: string) => Message<Json>[],
): AsyncGenerator<Message<Json>, void, undefined> {
  const { org } = query
  const free = await org.jobSlots.take()
  try {
    const place: JobPlace = (earlier && (await stillThere(query, earlier))) ?? { id: await createJob(query) }
    let looks = place.looks ?? 0
    if (place !== earlier) yield* left(place)
    for (let waitMs = FIRST_POLL_MS; !(await isComplete(query, place)); waitMs = Math.min(MAX_POLL_MS, waitMs * 1.5)) {
      // The engine may stop here at its deadline, and the next run takes the job up.
      yield* left({ ...place, looks: ++looks })
      await org.clock.sleep(waitMs, org.signal)
    }
    for (let locator = place.locator ?? ''; locator !== 'null'; ) {
      const page = yield* resultPage(query, { id: place.id, locator })
      locator = page.locator
      if (locator !== 'null') yield* left({ id: place.id, locator }, page.after)
    }
    await deleteJob(org, place.id)
  } finally {
    free()
  }
}

/** True when the object or a field cannot be read in bulk at all, which the org says when the job is made. */
export function notForBulk(error: unknown): boolean {
  const code = plain(vendorCode(error) ?? '')
  if (code === 'INVALIDENTITY' || code === 'INVALIDJOB' || code === 'FEATURENOTENABLED') return true
  return code === 'APIERROR' && /not supported/i.test((error as IngestError).message)
}

/**
 * Deletes query jobs that a killed run of ours left. Nobody waits for a job that long, and nobody else's is told from ours
 * by more than its user and its marks, so only finished ones of this user with both marks go.
 */
export async function deleteLeftJobs(org: Org, object: string): Promise<void> {
  const { userId } = await org.tokens.get()
  const Jobs = z.looseObject({
    records: z.array(
      z.looseObject({
        id: z.string(),
        object: z.string().optional(),
        createdById: z.string(),
        createdDate: z.string(),
        state: z.string(),
        lineEnding: z.string().optional(),
      }),
    ),
  })
  const path = withQuery(org.path('/jobs/query'), { jobType: 'V2Query' })
  const { records } = await org.client.json({ doing: 'list bulk jobs', path }, Jobs)
  const before = org.clock.now() - LEFT_AFTER_MS
  for (const job of records)
    if (
      job.createdById === userId &&
      job.object === object &&
      job.lineEnding === LINE_ENDING &&
      !['UploadComplete', 'InProgress'].includes(job.state) &&
      Date.parse(job.createdDate) < before
    )
      await deleteJob(org, job.id)
}

const LEFT_AFTER_MS = 24 * 3_600_000
/** Also the mark of our jobs: the default is LF. */
const LINE_ENDING = 'CRLF'

async function createJob({ org, doing, query }: BulkQuery): Promise<string> {
  const { id } = await org.client.json(
    {
      doing,
      path: org.path('/jobs/query'),
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        operation: 'query',
        query,
        contentType: 'CSV',
        columnDelimiter: 'COMMA',
        lineEnding: LINE_ENDING,
      }),
    },
    z.looseObject({ id: z.string() }),
  )
  return id
}

async function stillThere({ org, doing }: BulkQuery, place: JobPlace): Promise<JobPlace | undefined> {
  try {
    const job = await org.client.json({ doing, path: jobPath(org, place.id) }, Job)
    return job.state === 'Failed' || job.state === 'Aborted' ? undefined : place
  } catch (error) {
    if (error instanceof IngestError && error.code === 'source.object_missing') return undefined
    throw error
  }
}

async function isComplete({ org, doing }: BulkQuery, { id }: JobPlace): Promise<boolean> {
  const job = await org.client.json({ doing, path: jobPath(org, id) }, Job)
  if (job.state === 'JobComplete') return true
  if (job.state !== 'Failed' && job.state !== 'Aborted') return false
  throw translateJob(doing, job)
}

/** One page of results. What was handed over before the body broke off is not handed over again. */
async function* resultPage(
  { org, doing, columns }: BulkQuery,
  { id, locator }: { id: string; locator: string },
): AsyncGenerator<Message<Json>, { locator: string; after: string | undefined }, undefined> {
  const path = withQuery(`${jobPath(org, id)}/results`, { maxRecords: PAGE_ROWS, locator: locator || undefined })
  const request = { doing, path, headers: { accept: 'text/csv' } }
  const retry = org.client.retry()
  let given = 0
  let after: string | undefined
  for (;;) {
    const records = new CsvRecords({ skip: given, key: columns.indexOf('Id') })
    try {
      const { headers, chunks } = await org.client.send(request)
      const next = headers.get('sforce-locator')
      if (!next) throw new IncompleteBody('the answer is no page of results')
      for await (const chunk of chunks) {
        const bytes = records.take(chunk)
        if (bytes.length === 0) continue
        requireColumns(records.header!, columns, doing)
        yield { op: 'block', format: 'csv', bytes }
        given += records.given
        after = records.lastKey ?? after
        retry.progress()
      }
      const last = records.end()
      if (last.length > 0) yield { op: 'block', format: 'csv', bytes: last }
      given += records.given
      after = records.lastKey ?? after
      const wanted = Number(headers.get('sforce-numberofrecords') ?? given)
      if (given === wanted) return { locator: next, after }
      throw new IncompleteBody(`a page of results has ${given} of ${wanted} rows`)
    } catch (error) {
      await retry.again(org.client.translated(request, error))
    }
  }
}

/** Blocks carry no names: another order would put values under the wrong ones. */
function requireColumns(header: readonly string[], columns: readonly string[], doing: string): void {
  if (header.map((name) => name.toLowerCase()).join() === columns.map((name) => name.toLowerCase()).join()) return
  throw new IngestError('source.protocol_violation', `${doing}: the results have the columns ${header.join(', ')}`)
}

/** A job that cannot be deleted does no harm: the org forgets it after seven days. */
async function deleteJob(org: Org, id: string): Promise<void> {
  const request = { doing: 'delete a bulk job', path: jobPath(org, id), method: 'DELETE' }
  await org.client.bytes(request).catch((error: unknown) => {
    if (!(error instanceof IngestError)) throw error
  })
}

const jobPath = (org: Org, id: string) => org.path(`/jobs/query/${encodeURIComponent(id)}`)
