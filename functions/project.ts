import { tmpdir } from 'node:os'
import type { Connector } from '../shared/connector/connector.ts'
import type { Project } from '../shared/control/project.ts'
import { readStoredSpec } from '../shared/control/stored-spec.ts'
import { Redactor } from '../shared/core/redactor.ts'
import type { LakehouseEnv } from './lakehouse-env.ts'
import { lakehousePorts } from './lakehouse-ports.ts'
import { secretsUnder } from './secrets-manager.ts'

/**
 * The deployment's configuration, as the control API stored it, with what it opens. A connector's function sees the
 * secrets of its own connections only; that is also all its role may read.
 *
 * @throws IngestError `config.invalid` (fix) when nothing was stored yet
 */
export async function openProject(env: LakehouseEnv, connector: Connector): Promise<Project> {
  const ports = lakehousePorts(env)
  const read = await readStoredSpec(ports.state)
  const secrets = secretsUnder(`${env.STAGE}/lakeflow/${connector.name}`)
  return {
    ...read,
    ...ports,
    scratch: tmpdir(),
    connectors: [connector],
    redactor: new Redactor(),
    references: {
      env: () => undefined,
      file: async () => undefined,
      secret: (name) => secrets.get(name),
    },
  }
}
