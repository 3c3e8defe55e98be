import { type IAspect, Stack, Validations } from 'aws-cdk-lib'
import { CfnPolicy } from 'aws-cdk-lib/aws-iam'
import { flattenCfnReference } from 'cdk-nag/lib/utils/flatten-cfn-reference.js'
import type { IConstruct } from 'constructs'

interface Exception {
  actions: RegExp
  resource: RegExp
  reason: string
}

/** Every wildcard a role of ours may hold, and why. A wildcard that is not here stops the synthesis. */
const wildcards: readonly Exception[] = [
  {
    actions: /^xray:(PutTraceSegments|PutTelemetryRecords|GetSampling(Rules|Targets))$/,
    resource: /^\*$/,
    reason: 'X-Ray has no resource-level permissions',
  },
  {
    actions: /^logs:\w*(LogDelivery|LogDeliveries|ResourcePolicy|ResourcePolicies|LogGroups)$/,
    resource: /^\*$/,
    reason: 'log delivery of Step Functions is set up by account-level calls without resource-level permissions',
  },
  {
    actions: /^s3:/,
    resource: /:s3:::[^/]+\/(_runs|_push(\/queue|\/records)?|[a-z][a-z0-9_]*(\/\*\/_delta_log)?)\/\*$/,
    reason:
      'objects are named at run time; the prefix is the lakehouse catalog, its logs, plans of runs, or pushed events',
  },
  {
    actions: /^secretsmanager:GetSecretValue$/,
    resource: /:secret:[a-z0-9-]+\/lakeflow\/[a-z0-9-]+\/\*$/,
    reason: 'connections are made at run time; the prefix holds the secrets of this one connector',
  },
  {
    actions: /^scheduler:(Create|Update|Delete|Get)Schedule$/,
    resource: /:schedule\/[a-z0-9-]+-lakeflow\/\*$/,
    reason: 'schedules are made at run time, in this group only',
  },
  {
    actions: /^states:(DescribeExecution|StopExecution)$/,
    resource: /:execution:[a-z0-9-]+-lakeflow-sync(\/\*)?:\*$/,
    reason: 'executions get their names at run time; of this state machine only',
  },
  {
    actions: /^execute-api:ManageConnections$/,
    resource: /\/v1\/[*A-Z]+\/@connections\/\*$/,
    reason: 'connections get their ids at run time; of this API and stage only',
  },
]

/** Acknowledges the findings of cdk-nag (AwsSolutions-IAM5) that have a written reason, one by one. */
export const wildcardReasons: IAspect = {
  visit(node: IConstruct) {
    if (!(node instanceof CfnPolicy)) return
    const document = Stack.of(node).resolve(node.policyDocument) as { Statement: Statement[] }
    const acknowledged = new Map<string, string>()
    for (const { Action, Resource } of document.Statement) {
      for (const resource of [Resource].flat().map(flattenCfnReference)) {
        if (!resource.includes('*')) continue
        const found = [Action]
          .flat()
          .map((action) => wildcards.find((e) => e.resource.test(resource) && e.actions.test(action)))
        if (found.some((exception) => !exception)) continue
        const reasons = new Set(found.map((exception) => exception!.reason))
        acknowledged.set(`AwsSolutions-IAM5[Resource::${resource}]`, [...reasons].join('; '))
      }
    }
    for (const [id, reason] of acknowledged) Validations.of(node).acknowledge({ id, reason })
  },
}

interface Statement {
  Action: string | string[]
  Resource: unknown
}
