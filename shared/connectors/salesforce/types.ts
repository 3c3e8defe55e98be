import type { LogicalType } from '../../schema/types.ts'
import type { SalesforceConfig } from './config.ts'

/** A field as `describe` tells it (REST API Developer Guide, "sObject Describe"). */
export interface FieldDescription {
  name: string
  type: string
  nillable: boolean
  precision?: number | undefined
  scale?: number | undefined
  /** A formula or roll-up: its value changes without its row. */
  calculated?: boolean | undefined
  filterable?: boolean | undefined
  label?: string | undefined
}

/** What a field becomes, or why it cannot be read. A test compares every line with docs/connectors/salesforce.md. */
export function fieldType(field: FieldDescription, config: SalesforceConfig): LogicalType | { unreadable: string } {
  switch (field.type) {
    case 'boolean':
    case 'date':
    case 'long':
      return { kind: field.type }
    case 'int':
      return { kind: 'integer' }
    case 'datetime':
      return { kind: 'timestamp' }
    case 'currency':
      return decimal(field)
    case 'double':
    case 'percent':
      return config.numbers === 'decimal' ? decimal(field) : { kind: 'double' }
    case 'base64':
      return config.base64_fields === 'read'
        ? { kind: 'binary' }
        : { unreadable: 'holds a file; set base64_fields: read on the connection to take it' }
    case 'address':
    case 'location':
      return { unreadable: 'is compound, and its parts are columns of their own' }
    default:
      // id, reference, string, textarea, picklist, multipicklist, combobox, email, phone, url, encryptedstring, time, anyType
      return { kind: 'string' }
  }
}

/** Fields whose values do not come as bytes of their column's type: their rows are read one by one. */
export const isLoose = ({ type }: FieldDescription) => type === 'base64' || type === 'anyType'

/** The org keeps to the digits of a field: more behind the point are cut off, more before it are refused. */
function decimal({ precision, scale = 0 }: FieldDescription): LogicalType {
  const digits = Math.min(38, Math.max(precision || 18, scale, 1))
  return { kind: 'decimal', precision: digits, scale: Math.min(scale, digits) }
}
