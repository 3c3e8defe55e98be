/** Where a table lies in the lakehouse: `main/shop/orders`. A name's own slashes, and names of dots, are encoded. */
export function tableRoot({ catalog, schema, table }: { catalog: string; schema: string; table: string }): string {
  return [catalog, schema, table].map(folderName).join('/')
}

function folderName(name: string): string {
  if (/^\.+$/.test(name)) return name.replaceAll('.', '%2E')
  return name.replaceAll('%', '%25').replaceAll('/', '%2F')
}
