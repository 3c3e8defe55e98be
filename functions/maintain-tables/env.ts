import { LakehouseEnv } from '../lakehouse-env.ts'

export const Env = LakehouseEnv
