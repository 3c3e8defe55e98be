import { memoryQueue } from '../../shared/queue/memory.ts'
import { queueContract } from './queue.contract.ts'

queueContract(async ({ clock, pass }) => {
  const queue = memoryQueue({ clock })
  return { queue, pass, close: () => queue.close() }
})
