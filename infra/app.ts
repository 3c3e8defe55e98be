import { App, Validations } from 'aws-cdk-lib'
import { AwsSolutionsChecks } from 'cdk-nag'
import { deployment } from './deployment.ts'
import { parseSettings } from './settings.ts'

const app = new App()
deployment(app, parseSettings(app.node.tryGetContext('lakeflow')))
Validations.of(app).addPlugins(new AwsSolutionsChecks(app, { verbose: true }))
app.synth()
