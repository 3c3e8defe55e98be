import {
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  type S3Client,
} from '@aws-sdk/client-s3'
import { type Clock, systemClock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import { checkPath, checkPrefix } from './path.ts'
import { checkRange } from './range.ts'
import { type AwsError, s3Error, statusOf, wasRetried } from './s3-errors.ts'
import { s3Writer } from './s3-writer.ts'
import type { Storage } from './storage.ts'

export interface S3Options {
  /** Of a streamed object's parts; S3 takes from 5 MiB up and at most 10,000 parts. Smaller objects are one request. */
  partBytes?: number
  clock?: Clock
}

/**
 * Objects of a bucket below a prefix (without slashes at its ends; empty is the whole bucket) as storage. S3 is strongly
 * consistent, and its conditional writes make `putIfAbsent` and `putIfMatch` exact. The client brings credentials, region
 * and retries; encryption is the bucket's. Half-made uploads of killed writers are invisible: a lifecycle rule of the
 * bucket should remove them.
 */
export function s3Storage(
  client: S3Client,
  bucket: string,
  prefix: string,
  { partBytes = 8 * 1024 * 1024, clock = systemClock }: S3Options = {},
): Storage {
  const base = prefix === '' ? '' : `${prefix}/`

  function keyOf(path: string): { Bucket: string; Key: string } {
    checkPath(path)
    return { Bucket: bucket, Key: base + path }
  }

  /** S3 answers 409 while another conditional write of the same key is under way, and asks to try again. */
  async function conditionally<T>(attempt: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await attempt()
      } catch (error) {
        if ((error as AwsError).name !== 'ConditionalRequestConflict' || tries === maxTries) throw error
        await clock.sleep(Math.random() * 50 * 2 ** tries)
      }
    }
  }

  /** Reading is tried again as a whole, as the SDK does not when a body breaks off. */
  async function readWhole(path: string, Range?: string): Promise<{ bytes: Uint8Array; tag: string } | undefined> {
    const key = keyOf(path)
    for (let tries = 1; ; tries++) {
      let output: GetObjectCommandOutput
      try {
        output = await client.send(new GetObjectCommand({ ...key, ...(Range && { Range }) }))
      } catch (error) {
        if ((error as AwsError).name === 'NoSuchKey') return undefined
        if (statusOf(error) === 416) return { bytes: new Uint8Array(), tag: '' }
        throw s3Error(error, `read "${path}"`)
      }
      try {
        const bytes = await output.Body!.transformToByteArray()
        if (bytes.length !== output.ContentLength)
          throw new Error(`${bytes.length} of ${output.ContentLength} bytes came`)
        return { bytes, tag: output.ETag! }
      } catch (error) {
        if (tries === maxTries) throw s3Error(error, `read "${path}"`)
        await clock.sleep(Math.random() * 50 * 2 ** tries)
      }
    }
  }

  async function exists(path: string): Promise<boolean> {
    try {
      await client.send(new HeadObjectCommand(keyOf(path)))
      return true
    } catch (error) {
      // A HEAD has no body to name what is missing; a missing bucket shows at the next other request.
      if (statusOf(error) === 404) return false
      throw s3Error(error, `read "${path}"`)
    }
  }

  return {
    url: `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`,

    async get(path, range) {
      if (!range) return (await readWhole(path))?.bytes
      checkRange(range)
      // HTTP has no way to ask for nothing.
      if (range.end !== undefined && range.end <= range.start)
        return (await exists(path)) ? new Uint8Array() : undefined
      const last = range.end === undefined ? '' : range.end - 1
      return (await readWhole(path, range.start < 0 ? `bytes=${range.start}` : `bytes=${range.start}-${last}`))?.bytes
    },

    getTagged: (path) => readWhole(path),

    async put(path, bytes) {
      const key = keyOf(path)
      await translated(`write "${path}"`, () => client.send(new PutObjectCommand({ ...key, Body: bytes })))
    },

    async putIfAbsent(path, bytes) {
      const key = keyOf(path)
      return await translated(`write "${path}"`, async () => {
        try {
          await conditionally(() => client.send(new PutObjectCommand({ ...key, Body: bytes, IfNoneMatch: '*' })))
          return true
        } catch (error) {
          if (statusOf(error) === 412) return false
          throw error
        }
      })
    },

    async putIfMatch(path, bytes, tag) {
      const key = keyOf(path)
      return await translated(`write "${path}"`, async () => {
        try {
          const put = new PutObjectCommand({ ...key, Body: bytes, IfMatch: tag })
          return (await conditionally(() => client.send(put))).ETag
        } catch (error) {
          // The object is gone, or was never there.
          if ((error as AwsError).name === 'NoSuchKey') return undefined
          if (statusOf(error) !== 412) throw error
          if (!wasRetried(error)) return undefined
          const found = await readWhole(path)
          return found && Buffer.compare(found.bytes, bytes) === 0 ? found.tag : undefined
        }
      })
    },

    writer: (path) => s3Writer(client, keyOf(path), path, partBytes),

    async *list(within, startAfter) {
      checkPrefix(within)
      const pages = paginateListObjectsV2(
        { client },
        {
          Bucket: bucket,
          Prefix: base + within,
          ...(startAfter && { StartAfter: base + startAfter }),
          // A key may hold characters that XML cannot.
          EncodingType: 'url',
        },
      )
      try {
        for await (const page of pages) {
          for (const { Key, Size, LastModified } of page.Contents ?? []) {
            const path = decodeURIComponent(Key!.replaceAll('+', ' ')).slice(base.length)
            // Folder markers of other programs are no objects of ours.
            if (path !== '' && !path.endsWith('/'))
              yield { path, sizeBytes: Size ?? 0, modifiedAtMs: LastModified!.getTime() }
          }
        }
      } catch (error) {
        throw s3Error(error, `list "${within}"`)
      }
    },

    async delete(paths) {
      const keys = paths.map((path) => ({ Key: keyOf(path).Key }))
      for (let i = 0; i < keys.length; i += maxDeletes) {
        const Objects = keys.slice(i, i + maxDeletes)
        await translated(`delete ${Objects.length} objects`, async () => {
          const { Errors } = await client.send(
            new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } }),
          )
          const [first] = Errors ?? []
          if (first) throw deleteError(first.Code, `${first.Key}: ${first.Message}`)
        })
      }
    },
  }
}

const maxTries = 6

/** Of one DeleteObjects request. */
const maxDeletes = 1000

async function translated<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw s3Error(error, doing)
  }
}

/** DeleteObjects reports per key, inside an answer that succeeded. */
function deleteError(code: string | undefined, message: string): IngestError {
  const ours = code === 'AccessDenied' ? 'storage.permission_denied' : 'storage.unavailable'
  return new IngestError(ours, `could not delete ${message} (${code})`)
}
