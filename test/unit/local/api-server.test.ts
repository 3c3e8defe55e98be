import { request } from 'node:http'
import { expect, test } from '@jest/globals'
import { portFrom, startApiServer } from '../../../local/api-server.ts'
import type { Project } from '../../../shared/control/project.ts'
import { systemClock } from '../../../shared/core/clock.ts'
import { Redactor } from '../../../shared/core/redactor.ts'
import { PipelineSpec } from '../../../shared/pipeline/spec.ts'
import { memoryState } from '../../../shared/state/memory.ts'

const ingestion_definition = { connection_name: 'db', objects: [{ table: { source_table: 't' } }] }
const project = {
  spec: { lakehouse: '.', pipelines: { shop: PipelineSpec.parse({ ingestion_definition }) } },
  state: memoryState(),
  clock: systemClock,
  redactor: new Redactor(),
} as unknown as Project

test('the API answers what the command line shows', async () => {
  const api = await startApiServer(project, 0)

  const found = await fetch(`${api.url}/api/status`)
  const refused = await fetch(`${api.url}/api/runs?pipeline=nope`)

  expect([found.status, await found.json()]).toEqual([200, [{ pipeline: 'shop', connection: 'db' }]])
  expect(refused.status).toBe(400)
  expect((await fetch(`${api.url}/nope`)).status).toBe(404)
  expect((await fetch(`${api.url}/api/status`, { method: 'POST' })).status).toBe(405)
  await api.close()
})

test('a page of another site that resolves to this machine is not answered', async () => {
  const api = await startApiServer(project, 0)

  const status = await new Promise((done) => {
    request(`${api.url}/api/status`, { headers: { host: 'evil.example' } }, (response) =>
      done(response.resume().statusCode),
    ).end()
  })

  expect(status).toBe(403)
  await api.close()
})

test('a taken port is a clear error', async () => {
  const api = await startApiServer(project, 0)
  const port = Number(new URL(api.url).port)

  await expect(startApiServer(project, port)).rejects.toMatchObject({
    code: 'local.port_in_use',
    message: `port ${port} on 127.0.0.1 is taken: choose another with --port or PORT`,
  })
  await api.close()
})

test.each(['x', '-1', '70000', '1.5'])('%s is no port', (text) => {
  expect(() => portFrom(text, 1)).toThrow(expect.objectContaining({ code: 'usage.invalid' }))
})
