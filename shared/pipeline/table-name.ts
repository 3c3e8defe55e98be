export interface TableName {
  catalog: string
  schema: string
  table: string
}

/** `main.shop.orders`. */
export const tableNameText = ({ catalog, schema, table }: TableName) => `${catalog}.${schema}.${table}`
