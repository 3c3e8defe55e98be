import {
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  paginateListSecrets,
  RestoreSecretCommand,
  type SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager'
import { compareBytes } from '../core/byte-order.ts'
import { secretError } from './aws-errors.ts'
import { checkSecret, type Secrets } from './secrets.ts'

/**
 * Secrets Manager; a secret is named `<prefix>/<name>`, which is what permissions are given on. A deleted secret can be
 * restored for seven days, and storing it again does so.
 */
export function secretsManagerSecrets(client: SecretsManagerClient, prefix: string): Secrets {
  const idOf = (name: string, value?: string) => {
    checkSecret(name, value)
    return `${prefix}/${name}`
  }

  async function stateOf(SecretId: string): Promise<'missing' | 'deleted' | 'alive'> {
    try {
      const { DeletedDate } = await client.send(new DescribeSecretCommand({ SecretId }))
      return DeletedDate ? 'deleted' : 'alive'
    } catch (error) {
      if (isMissing(error)) return 'missing'
      throw error
    }
  }

  return {
    async get(name) {
      const SecretId = idOf(name)
      try {
        return (await client.send(new GetSecretValueCommand({ SecretId }))).SecretString
      } catch (error) {
        if (isMissing(error)) return undefined
        // Refused for a reason without a code of its own: one is that the secret was deleted and can still be restored.
        if ((error as Error).name === 'InvalidRequestException' && (await stateOf(SecretId)) === 'deleted')
          return undefined
        throw secretError(error, `read secret "${name}"`)
      }
    },

    async put(name, value) {
      const id = idOf(name, value)
      try {
        const state = await stateOf(id)
        if (state === 'missing') {
          const created = await client
            .send(new CreateSecretCommand({ Name: id, SecretString: value }))
            .catch((error) => {
              // Somebody made it in between.
              if (error.name !== 'ResourceExistsException') throw error
            })
          if (created) return
        }
        if (state === 'deleted') await client.send(new RestoreSecretCommand({ SecretId: id }))
        await client.send(new PutSecretValueCommand({ SecretId: id, SecretString: value }))
      } catch (error) {
        throw secretError(error, `write secret "${name}"`)
      }
    },

    async list() {
      try {
        const names: string[] = []
        const Filters = [{ Key: 'name' as const, Values: [`${prefix}/`] }]
        for await (const { SecretList } of paginateListSecrets({ client }, { Filters })) {
          for (const { Name } of SecretList ?? [])
            if (Name?.startsWith(`${prefix}/`)) names.push(Name.slice(prefix.length + 1))
        }
        return names.sort(compareBytes)
      } catch (error) {
        throw secretError(error, 'list secrets')
      }
    },

    async delete(name) {
      const SecretId = idOf(name)
      try {
        if ((await stateOf(SecretId)) === 'alive') {
          await client.send(new DeleteSecretCommand({ SecretId, RecoveryWindowInDays: 7 }))
        }
      } catch (error) {
        if (!isMissing(error)) throw secretError(error, `delete secret "${name}"`)
      }
    },
  }
}

const isMissing = (error: unknown) => (error as Error).name === 'ResourceNotFoundException'
