import { randomUUID } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { invariant } from '../core/errors.ts'
import { s3Error, statusOf, wasRetried } from './s3-errors.ts'
import type { StorageWriter } from './storage.ts'

/** Parts under way at once; with the one being filled, memory is bounded by one more of this many parts. */
const maxUploads = 4

/** One object in parts of equal size, of which the last may be smaller; less than one part is a single request. */
export function s3Writer(
  client: S3Client,
  key: { Bucket: string; Key: string },
  path: string,
  partBytes: number,
): StorageWriter {
  let pieces: Uint8Array[] = []
  let pieceBytes = 0
  let sizeBytes = 0
  let isOpen = true
  /** Tells our finished object from another writer's. */
  const id = randomUUID()
  let upload: Promise<string> | undefined
  const parts: Promise<{ PartNumber: number; ETag: string | undefined }>[] = []
  const underWay = new Set<Promise<unknown>>()
  let failure: unknown

  async function begin(): Promise<string> {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...key, Metadata: { upload: id } }))
    return UploadId!
  }

  async function uploadPart(PartNumber: number, Body: Uint8Array) {
    upload ??= begin()
    const UploadId = await upload
    const { ETag } = await client.send(new UploadPartCommand({ ...key, UploadId, PartNumber, Body }))
    return { PartNumber, ETag }
  }

  /** Cuts one part off what has gathered. */
  function cutPart(bytes: number): Uint8Array {
    const gathered = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
    pieces = gathered.length > bytes ? [gathered.subarray(bytes)] : []
    pieceBytes -= bytes
    return gathered.subarray(0, bytes)
  }

  function startPart(bytes: number): void {
    const part = uploadPart(parts.length + 1, cutPart(bytes))
    parts.push(part)
    const settled: Promise<void> = part.then(
      () => {
        underWay.delete(settled)
      },
      (error: unknown) => {
        failure ??= error
        underWay.delete(settled)
      },
    )
    underWay.add(settled)
  }

  async function complete(): Promise<void> {
    if (pieceBytes > 0) startPart(pieceBytes)
    const Parts = await Promise.all(parts)
    const UploadId = await upload!
    try {
      await client.send(new CompleteMultipartUploadCommand({ ...key, UploadId, MultipartUpload: { Parts } }))
    } catch (error) {
      // The upload is gone because an earlier try completed it: the object tells.
      if (!(statusOf(error) === 404 && wasRetried(error))) throw error
      const { Metadata } = await client.send(new HeadObjectCommand(key))
      if (Metadata?.upload !== id) throw error
    }
  }

  return {
    async write(bytes) {
      invariant(isOpen, 'write on a finished or aborted writer')
      pieces.push(bytes)
      pieceBytes += bytes.length
      sizeBytes += bytes.length
      while (pieceBytes >= partBytes) startPart(partBytes)
      while (underWay.size > maxUploads) await Promise.race(underWay)
      // A part that failed is told at once, not at the end of a large object.
      if (failure !== undefined) throw s3Error(failure, `write "${path}"`)
    },

    async finish() {
      invariant(isOpen, 'finish of a finished or aborted writer')
      try {
        if (parts.length > 0) await complete()
        else await client.send(new PutObjectCommand({ ...key, Body: Buffer.concat(pieces) }))
      } catch (error) {
        throw s3Error(error, `write "${path}"`)
      }
      isOpen = false
      return { sizeBytes }
    },

    async abort() {
      if (!isOpen) return
      isOpen = false
      pieces = []
      // A part that arrives after the abort would stay, and be paid for.
      await Promise.allSettled(parts)
      const UploadId = await upload?.catch(() => undefined)
      if (UploadId === undefined) return
      await client.send(new AbortMultipartUploadCommand({ ...key, UploadId })).catch((error: unknown) => {
        if (statusOf(error) !== 404) throw s3Error(error, `abort the upload of "${path}"`)
      })
    },
  }
}
