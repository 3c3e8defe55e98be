import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { secretsManagerSecrets } from '../shared/secrets/secrets-manager.ts'

/** Lives as long as the Lambda's environment. */
const client = new SecretsManagerClient({})

export const secretsUnder = (prefix: string) => secretsManagerSecrets(client, prefix)
