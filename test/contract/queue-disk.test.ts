import { diskQueue } from '../../shared/queue/disk.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { queueContract } from './queue.contract.ts'

queueContract(async ({ clock, pass }) => {
  const { folder, remove } = await temporaryFolder()
  const queue = await diskQueue(folder, { clock, segmentBytes: 4_096 })
  return {
    queue,
    pass,
    async close() {
      await queue.close()
      await remove()
    },
  }
})
