import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Duration, RemovalPolicy, Size, Stack } from 'aws-cdk-lib'
import type * as ec2 from 'aws-cdk-lib/aws-ec2'
import * as iam from 'aws-cdk-lib/aws-iam'
import * as lambda from 'aws-cdk-lib/aws-lambda'
import { NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs'
import * as logs from 'aws-cdk-lib/aws-logs'
import { Construct } from 'constructs'
import type { Settings } from '../settings.ts'
import { bucketName } from '../stacks/lakehouse.ts'

const root = join(import.meta.dirname, '../..')
const kernel = join(root, 'shared/columnar/kernel.wasm')

/** CloudWatch's namespace of what functions count; the dimension `service` is the function's name. */
export const METRICS = 'Lakeflow'

export interface LambdaProps {
  settings: Settings
  /** Folder under functions/: its handler.ts is the entry. */
  folder: string
  description: string
  /** What `functions/<folder>/env.ts` reads. Strings only; no secrets, only their names. */
  environment: Readonly<Record<string, string>>
  memoryMb: number
  timeout: Duration
  /** Instead of the folder's handler.ts: the entry of one connector's bundle. */
  entry?: string
  name?: string
  /** Packages taken from a layer instead of the bundle. */
  external?: readonly string[]
  layers?: readonly lambda.ILayerVersion[]
  ephemeralStorageMb?: number
  reservedConcurrency?: number
  vpc?: { vpc: ec2.IVpc; subnets: ec2.SubnetSelection; securityGroup: ec2.ISecurityGroup }
}

/** One Lambda: its own role and log group, tracing on, the columnar kernel beside the bundle. */
export class Lambda extends Construct {
  readonly fn: NodejsFunction
  readonly #settings: Settings

  constructor(scope: Construct, id: string, props: LambdaProps) {
    super(scope, id)
    const { settings } = props
    this.#settings = settings
    const name = `${settings.stage}-lakeflow-${props.name ?? props.folder}`
    const logGroup = new logs.LogGroup(this, 'Logs', {
      logGroupName: `/aws/lambda/${name}`,
      retention: settings.retention.logsDays,
      removalPolicy: RemovalPolicy.DESTROY,
    })
    const role = new iam.Role(this, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') })
    logGroup.grantWrite(role)
    if (props.vpc) {
      role.addManagedPolicy(iam.ManagedPolicy.fromAwsManagedPolicyName('service-role/AWSLambdaVPCAccessExecutionRole'))
    }

    this.fn = new NodejsFunction(this, 'Function', {
      functionName: name,
      description: props.description,
      entry: props.entry ?? join(root, 'functions', props.folder, 'handler.ts'),
      depsLockFilePath: join(root, 'package-lock.json'),
      projectRoot: root,
      runtime: lambda.Runtime.NODEJS_24_X,
      architecture: settings.architecture === 'arm64' ? lambda.Architecture.ARM_64 : lambda.Architecture.X86_64,
      memorySize: props.memoryMb,
      timeout: props.timeout,
      role,
      logGroup,
      loggingFormat: lambda.LoggingFormat.JSON,
      tracing: lambda.Tracing.ACTIVE,
      environment: {
        ...props.environment,
        NODE_OPTIONS: '--enable-source-maps',
        POWERTOOLS_SERVICE_NAME: name,
        POWERTOOLS_METRICS_NAMESPACE: METRICS,
      },
      layers: [...(props.layers ?? [])],
      ...(props.ephemeralStorageMb && {
        ephemeralStorageSize: Size.mebibytes(props.ephemeralStorageMb),
      }),
      ...(props.reservedConcurrency && { reservedConcurrentExecutions: props.reservedConcurrency }),
      ...(props.vpc && {
        vpc: props.vpc.vpc,
        vpcSubnets: props.vpc.subnets,
        securityGroups: [props.vpc.securityGroup],
      }),
      bundling: {
        format: OutputFormat.ESM,
        target: 'node24',
        minify: true,
        sourceMap: true,
        // Node reads the map with the bundle: without the sources it is a fifth, and still names file and line.
        sourcesContent: false,
        mainFields: ['module', 'main'],
        esbuildArgs: { '--alias:@aws-sdk/credential-provider-node': join(root, 'infra/lambda-credentials.ts') },
        externalModules: ['@duckdb/*', 'pg-native', 'bufferutil', 'utf-8-validate', ...(props.external ?? [])],
        // CommonJS packages inside an ESM bundle still ask for require.
        banner: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);",
        commandHooks: {
          beforeInstall: () => [],
          beforeBundling: () => [],
          afterBundling: (_input, output) => (existsSync(kernel) ? [`cp ${kernel} ${output}/kernel.wasm`] : []),
        },
      },
    })
  }

  /** The function may do exactly this. */
  allow(actions: string[], resources: string[], conditions?: Record<string, unknown>) {
    this.fn.addToRolePolicy(new iam.PolicyStatement({ actions, resources, ...(conditions && { conditions }) }))
  }

  /** Read the lakehouse under the prefix. */
  allowRead(prefix: string) {
    this.allow(['s3:GetObject'], [this.#objects(prefix)], ours(this))
    this.allow(['s3:ListBucket'], [lakehouseArn(this, this.#settings)], {
      ...ours(this),
      StringLike: { 's3:prefix': `${prefix}/*` },
    })
  }

  /** Write the lakehouse under the prefix; deleting is for maintenance and for what a failed write left behind. */
  allowWrite(prefix: string) {
    this.allow(['s3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload'], [this.#objects(prefix)], ours(this))
  }

  /** Make new objects, and overwrite, under the prefix; delete none. */
  allowPut(prefix: string) {
    this.allow(['s3:PutObject', 's3:AbortMultipartUpload'], [this.#objects(prefix)], ours(this))
  }

  /** Invoke another function, its unpublished version only. */
  allowInvoke(other: Lambda) {
    this.allow(['lambda:InvokeFunction'], [other.fn.functionArn])
  }

  #objects(prefix: string) {
    return `${lakehouseArn(this, this.#settings)}/${prefix}/*`
  }
}

/** `arn:aws:<service>:<region>:<account>:<resource>` of this stack. */
export const arn = (scope: Construct, service: string, resource: string) =>
  `arn:${Stack.of(scope).partition}:${service}:${Stack.of(scope).region}:${Stack.of(scope).account}:${resource}`

export const lakehouseArn = (scope: Construct, settings: Settings) =>
  `arn:${Stack.of(scope).partition}:s3:::${bucketName(Stack.of(scope), settings)}`

/** Bucket names are global: never write to a bucket of this name in another account. */
const ours = (scope: Construct) => ({ StringEquals: { 'aws:ResourceAccount': Stack.of(scope).account } })
