import { Duration, Stack, type StackProps } from 'aws-cdk-lib'
import * as ec2 from 'aws-cdk-lib/aws-ec2'
import * as iam from 'aws-cdk-lib/aws-iam'
import * as scheduler from 'aws-cdk-lib/aws-scheduler'
import * as sns from 'aws-cdk-lib/aws-sns'
import type { Construct } from 'constructs'
import { connectorEntry } from '../constructs/connector-entry.ts'
import { DeadLetters } from '../constructs/dead-letters.ts'
import { duckdbLayer } from '../constructs/duckdb-layer.ts'
import { arn, Lambda } from '../constructs/lambda.ts'
import { SyncStateMachine } from '../constructs/sync-state-machine.ts'
import type { Settings } from '../settings.ts'
import { bucketName, type LakehouseStack, runPrefix } from './lakehouse.ts'

/** Pull: one pair of Lambdas per connector, the state machine that drives them, and the group their schedules live in. */
export class ConnectorsStack extends Stack {
  readonly sync: SyncStateMachine
  readonly plans: ReadonlyMap<string, Lambda>
  readonly functions: readonly Lambda[]
  readonly scheduleGroup: scheduler.ScheduleGroup
  readonly scheduleRole: iam.Role
  readonly scheduleDeadLetters: DeadLetters
  /** What the recipients of pipelines are told; the control API subscribes them. */
  readonly notices: sns.Topic

  constructor(scope: Construct, id: string, props: StackProps & { settings: Settings; lakehouse: LakehouseStack }) {
    super(scope, id, props)
    const { settings, lakehouse } = props
    const duckdb = duckdbLayer(this, settings)
    const environment = {
      LAKEHOUSE_BUCKET: bucketName(this, settings),
      STATE_TABLE: lakehouse.state.tableName,
      CATALOG: settings.catalog,
      STAGE: settings.stage,
    }
    const network = settings.vpc && subnetsOf(this, settings.vpc)

    const connectorLambda = (connector: string, folder: string, factory: string, memoryMb: number) => {
      const fn = new Lambda(this, `${folder}-${connector}`, {
        settings,
        folder,
        entry: connectorEntry(connector, folder, factory),
        name: `${folder}-${connector}`,
        description: `${folder} of the ${connector} connector`,
        environment: { ...environment, CONNECTOR: connector },
        memoryMb,
        timeout: Duration.minutes(15),
        layers: [duckdb],
        ephemeralStorageMb: settings.mergeStorageMb,
        ...(network && settings.vpc?.connectors.includes(connector) && { vpc: network }),
      })
      lakehouse.state.grantReadWriteData(fn.fn)
      // Secrets are named <stage>/lakeflow/<connector>/<secret>, so a connector reads its own connections' only.
      fn.allow(
        ['secretsmanager:GetSecretValue'],
        [arn(this, 'secretsmanager', `secret:${settings.stage}/lakeflow/${connector}/*`)],
      )
      return fn
    }

    this.plans = new Map(settings.connectors.map((name) => [name, connectorLambda(name, 'plan-sync', 'planSync', 512)]))
    for (const plan of this.plans.values()) plan.allowWrite(runPrefix)
    const streams = settings.connectors.map((name) =>
      connectorLambda(name, 'sync-stream', 'syncStream', settings.syncMemoryMb),
    )
    for (const stream of streams) {
      stream.allowRead(settings.catalog)
      stream.allowWrite(settings.catalog)
      stream.allowRead(runPrefix)
    }

    this.notices = new sns.Topic(this, 'Notices', { topicName: `${settings.stage}-lakeflow-notices`, enforceSSL: true })
    const finish = new Lambda(this, 'finish-sync', {
      settings,
      folder: 'finish-sync',
      description: 'Ends a run: summary, notices',
      environment: { ...environment, NOTICES_TOPIC_ARN: this.notices.topicArn },
      memoryMb: 512,
      timeout: Duration.minutes(1),
    })
    lakehouse.state.grantReadWriteData(finish.fn)
    finish.allow(['sns:Publish'], [this.notices.topicArn])

    this.functions = [...this.plans.values(), ...streams, finish]
    this.sync = new SyncStateMachine(this, 'Sync', {
      settings,
      planPrefix: `${settings.stage}-lakeflow-plan-sync-`,
      streamPrefix: `${settings.stage}-lakeflow-sync-stream-`,
      connectorFunctions: [...this.plans.values(), ...streams],
      finish,
    })

    this.scheduleGroup = new scheduler.ScheduleGroup(this, 'Schedules', {
      scheduleGroupName: `${settings.stage}-lakeflow`,
    })
    this.scheduleDeadLetters = new DeadLetters(this, 'MissedSchedules', { settings })
    this.scheduleRole = new iam.Role(this, 'ScheduleRole', {
      assumedBy: new iam.ServicePrincipal('scheduler.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
      }),
    })
    this.sync.machine.grantStartExecution(this.scheduleRole)
    this.scheduleDeadLetters.queue.grantSendMessages(this.scheduleRole)
  }
}

function subnetsOf(scope: Construct, vpc: NonNullable<Settings['vpc']>) {
  return {
    vpc: ec2.Vpc.fromVpcAttributes(scope, 'Vpc', {
      vpcId: vpc.vpcId,
      availabilityZones: vpc.availabilityZones,
      privateSubnetIds: vpc.privateSubnetIds,
    }),
    subnets: {
      subnets: vpc.privateSubnetIds.map((id) => ec2.Subnet.fromSubnetId(scope, `Subnet-${id}`, id)),
    },
    securityGroup: ec2.SecurityGroup.fromSecurityGroupId(scope, 'SecurityGroup', vpc.securityGroupId),
  }
}
