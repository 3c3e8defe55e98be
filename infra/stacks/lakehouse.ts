import { Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib'
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb'
import * as glue from 'aws-cdk-lib/aws-glue'
import * as s3 from 'aws-cdk-lib/aws-s3'
import type { Construct } from 'constructs'
import type { Settings } from '../settings.ts'

/**
 * All state, and nothing else: the tables, their catalog, and what the engine remembers. The other stacks can be
 * destroyed and deployed again without losing a row.
 */
export class LakehouseStack extends Stack {
  readonly bucket: s3.Bucket
  readonly state: dynamodb.TableV2

  constructor(scope: Construct, id: string, props: StackProps & { settings: Settings }) {
    super(scope, id, { ...props, terminationProtection: !props.settings.removeOnDestroy })
    const { settings } = props
    const { retention } = settings
    const removal = settings.removeOnDestroy
      ? { removalPolicy: RemovalPolicy.DESTROY, autoDeleteObjects: true }
      : { removalPolicy: RemovalPolicy.RETAIN }
    const closed = {
      ...removal,
      encryption: s3.BucketEncryption.S3_MANAGED,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
    }

    const accessLogs = new s3.Bucket(this, 'AccessLogs', {
      ...closed,
      lifecycleRules: [{ expiration: Duration.days(retention.accessLogsDays) }],
    })
    this.bucket = new s3.Bucket(this, 'Lakehouse', {
      ...closed,
      bucketName: bucketName(this, settings),
      versioned: true,
      serverAccessLogsBucket: accessLogs,
      serverAccessLogsPrefix: 'lakehouse/',
      lifecycleRules: [
        { abortIncompleteMultipartUploadAfter: Duration.days(1) },
        // Data files are never overwritten; what is versioned is what vacuum deleted, kept a while for a change of mind.
        { noncurrentVersionExpiration: Duration.days(retention.oldVersionsDays), expiredObjectDeleteMarker: true },
        { prefix: `${runPrefix}/`, expiration: Duration.days(retention.logsDays) },
        // Longer than any message that names one of them: 14 days in a queue, and as many among the dead letters.
        { prefix: `${pushPrefix}/`, expiration: Duration.days(30), noncurrentVersionExpiration: Duration.days(1) },
      ],
    })

    this.state = new dynamodb.TableV2(this, 'State', {
      partitionKey: { name: 'pk', type: dynamodb.AttributeType.STRING },
      sortKey: { name: 'sk', type: dynamodb.AttributeType.STRING },
      billing: dynamodb.Billing.onDemand(),
      encryption: dynamodb.TableEncryptionV2.awsManagedKey(),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      timeToLiveAttribute: 'ttl',
      deletionProtection: !settings.removeOnDestroy,
      removalPolicy: removal.removalPolicy,
    })

    for (const schema of settings.schemas) {
      const database = new glue.CfnDatabase(this, `Database-${schema}`, {
        catalogId: this.account,
        databaseInput: {
          name: `${settings.catalog}_${schema}`,
          locationUri: this.bucket.s3UrlForObject(`${settings.catalog}/${schema}/`),
        },
      })
      database.applyRemovalPolicy(removal.removalPolicy)
    }
  }
}

/** Said once, so that the other stacks name the bucket without a cross-stack export that would tie their updates. */
export const bucketName = (stack: Stack, settings: Settings) =>
  `${settings.stage}-lakeflow-${stack.account}-${stack.region}`

/** Where plans too big for a state machine's payload live, beside the catalogs. */
export const runPrefix = '_runs'

/** Where pushed events wait that are too large for a message, or in a file that is not committed yet. */
export const pushPrefix = '_push'
