import { S3Client } from '@aws-sdk/client-s3'
import { s3Storage } from '../shared/storage/s3.ts'
import type { Storage } from '../shared/storage/storage.ts'

/** A bucket with the region, credentials and endpoint of the AWS environment. */
export const openS3 = (bucket: string, prefix: string): Storage => s3Storage(new S3Client({}), bucket, prefix)
