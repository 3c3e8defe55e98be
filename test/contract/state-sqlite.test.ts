import { join } from 'node:path'
import { sqliteState } from '../../shared/state/sqlite.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { stateContract } from './state.contract.ts'

stateContract(async (clock) => {
  const { folder, remove } = await temporaryFolder()
  const state = sqliteState(join(folder, 'state.db'), { clock })
  return {
    state,
    async close() {
      await state.close()
      await remove()
    },
  }
})
