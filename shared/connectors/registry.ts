import type { Connector } from '../connector/connector.ts'
import { mysql } from './mysql/mysql.ts'
import { postgres } from './postgres/postgres.ts'
import { salesforce } from './salesforce/salesforce.ts'

/** Every built-in connector. A new one is its folder and a line here. */
export const connectors: readonly Connector[] = [mysql, postgres, salesforce]
