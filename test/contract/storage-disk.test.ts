import { diskStorage } from '../../shared/storage/disk.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { storageContract } from './storage.contract.ts'

storageContract(async () => {
  const { folder, remove } = await temporaryFolder()
  return { storage: diskStorage(folder), close: remove }
})
