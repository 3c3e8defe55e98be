import {
  DeleteParameterCommand,
  GetParameterCommand,
  PutParameterCommand,
  paginateGetParametersByPath,
  type SSMClient,
} from '@aws-sdk/client-ssm'
import { compareBytes } from '../core/byte-order.ts'
import { secretError } from './aws-errors.ts'
import { checkSecret, type Secrets } from './secrets.ts'

/**
 * Parameter Store, which costs nothing up to 4 KB a value: SecureString parameters named `/<prefix>/<name>`. A deleted one
 * is gone.
 */
export function ssmSecrets(client: SSMClient, prefix: string): Secrets {
  const nameOf = (name: string, value?: string) => {
    checkSecret(name, value)
    return `/${prefix}/${name}`
  }

  return {
    async get(name) {
      const Name = nameOf(name)
      try {
        return (await client.send(new GetParameterCommand({ Name, WithDecryption: true }))).Parameter?.Value
      } catch (error) {
        if (isMissing(error)) return undefined
        throw secretError(error, `read secret "${name}"`)
      }
    },

    async put(name, value) {
      const parameter = { Name: nameOf(name, value), Value: value, Type: 'SecureString', Overwrite: true } as const
      try {
        await client.send(new PutParameterCommand({ ...parameter, Tier: 'Intelligent-Tiering' }))
      } catch (error) {
        throw secretError(error, `write secret "${name}"`)
      }
    },

    async list() {
      try {
        const names: string[] = []
        const query = { Path: `/${prefix}`, Recursive: true, WithDecryption: false }
        for await (const { Parameters } of paginateGetParametersByPath({ client }, query)) {
          for (const { Name } of Parameters ?? []) names.push(Name!.slice(prefix.length + 2))
        }
        return names.sort(compareBytes)
      } catch (error) {
        throw secretError(error, 'list secrets')
      }
    },

    async delete(name) {
      const Name = nameOf(name)
      try {
        await client.send(new DeleteParameterCommand({ Name }))
      } catch (error) {
        if (!isMissing(error)) throw secretError(error, `delete secret "${name}"`)
      }
    },
  }
}

const isMissing = (error: unknown) => (error as Error).name === 'ParameterNotFound'
