import { memoryState } from '../../shared/state/memory.ts'
import { stateContract } from './state.contract.ts'

stateContract(async (clock) => ({ state: memoryState({ clock }), close: async () => {} }))
