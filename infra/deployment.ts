import { type App, AspectPriority, Aspects, Tags } from 'aws-cdk-lib'
import { wildcardReasons } from './exceptions.ts'
import type { Settings } from './settings.ts'
import { ConnectorsStack } from './stacks/connectors.ts'
import { ControlStack } from './stacks/control.ts'
import { LakehouseStack } from './stacks/lakehouse.ts'
import { MonitoringStack } from './stacks/monitoring.ts'
import { ZerobusStack } from './stacks/zerobus.ts'

/** One deployment: five stacks, of which only `lakehouse` holds state. */
export function deployment(app: App, settings: Settings) {
  const id = (name: string) => `Lakeflow-${settings.stage}-${name}`
  const account = process.env.CDK_DEFAULT_ACCOUNT
  const region = process.env.CDK_DEFAULT_REGION
  // Without credentials the stacks are synthesized for any account and region.
  const shared = account && region ? { settings, env: { account, region } } : { settings }

  const lakehouse = new LakehouseStack(app, id('lakehouse'), shared)
  const connectors = new ConnectorsStack(app, id('connectors'), { ...shared, lakehouse })
  const control = new ControlStack(app, id('control'), { ...shared, lakehouse, connectors })
  const zerobus = new ZerobusStack(app, id('zerobus'), { ...shared, lakehouse })
  const monitoring = new MonitoringStack(app, id('monitoring'), { ...shared, connectors, control, zerobus })

  Tags.of(app).add('lakeflow-stage', settings.stage)
  Aspects.of(app).add(wildcardReasons, { priority: AspectPriority.READONLY })
  return { lakehouse, connectors, control, zerobus, monitoring }
}
