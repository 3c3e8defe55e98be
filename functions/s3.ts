import { S3Client } from '@aws-sdk/client-s3'
import { s3Storage } from '../shared/storage/s3.ts'

/** Lives as long as the Lambda's environment. */
const client = new S3Client({})

export const bucketStorage = (bucket: string) => s3Storage(client, bucket, '')
