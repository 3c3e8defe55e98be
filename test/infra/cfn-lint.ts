/** `npm run test:cfn-lint`: the synthesized templates against CloudFormation's own rules. The first time it installs cfn-lint. */
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { pythonEnvironment } from '../support/python.ts'

/** W3005: the CDK writes down dependencies that CloudFormation would find by itself. They do no harm. */
const ignored = ['W3005']

const templates = globSync('cdk.out/assembly/*.template.json').sort()
if (templates.length === 0) throw new Error('there are no templates: npm run synth makes them')
const program = join(pythonEnvironment('cfn-lint', 'cfn-lint==1.58.0\n'), 'cfn-lint')
const { status, error } = spawnSync(program, ['--ignore-checks', ...ignored, '--', ...templates], { stdio: 'inherit' })
if (error) throw error
if (status === 0) console.log(`${templates.length} templates, ok`)
process.exitCode = status ?? 1
