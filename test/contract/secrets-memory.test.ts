import { memorySecrets } from '../../shared/secrets/memory.ts'
import { secretsContract } from './secrets.contract.ts'

secretsContract(async () => ({ secrets: memorySecrets(), close: async () => {} }))
