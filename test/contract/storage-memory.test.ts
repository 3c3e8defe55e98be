import { memoryStorage } from '../../shared/storage/memory.ts'
import { storageContract } from './storage.contract.ts'

storageContract(async () => ({ storage: memoryStorage(), close: async () => {} }))
