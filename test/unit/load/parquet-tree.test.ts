import { expect, test } from '@jest/globals'
import type { Session } from '../../../shared/load/engine.ts'
import { type ParquetNode, parquetColumns } from '../../../shared/load/parquet-tree.ts'

/** A line an element: indent, name, and what it is marked with. */
function schemaRows(schema: string) {
  const lines = schema
    .trimEnd()
    .split('\n')
    .filter((line) => line.trim() !== '')
  const depth = (line: string) => line.search(/\S/)
  return lines.map((line, index) => {
    const [name, ...marks] = line.trim().split(' ')
    let children = 0
    for (const after of lines.slice(index + 1)) {
      if (depth(after) <= depth(line)) break
      if (depth(after) === depth(line) + 2) children++
    }
    return {
      file_name: 'f',
      name,
      num_children: BigInt(children),
      repetition_type: marks.includes('repeated') ? 'REPEATED' : 'OPTIONAL',
      converted_type: marks.find((mark) => /^[A-Z_]+$/.test(mark)) ?? null,
      logical_type: null,
      field_id: null,
      duckdb_type: children === 0 ? 'INTEGER' : null,
    }
  })
}

async function shapeOf(schema: string): Promise<string> {
  const session: Session = { folder: '', run: async () => {}, rows: async () => schemaRows(`root\n${schema}`) }
  const text = ({ name, shape, children }: ParquetNode): string =>
    shape === 'leaf' ? name : `${name}:${shape}(${children.map(text).join(' ')})`
  return (await parquetColumns(session, ['f'])).get('f')!.map(text).join(' ')
}

// parquet-format, "Lists" and "Maps", with their rules for files of older writers.
test.each([
  ['three levels', '  a LIST\n    list repeated\n      element', 'a:list(element)'],
  ['Hive', '  a LIST\n    bag repeated\n      array', 'a:list(array)'],
  ['two levels', '  a LIST\n    array repeated', 'a:list(array)'],
  ['two levels of structs', '  a LIST\n    array repeated\n      x\n      y', 'a:list(array:struct(x y))'],
  [
    'a list of lists',
    '  a LIST\n    list repeated\n      element LIST\n        list repeated\n          element',
    'a:list(element:list(element))',
  ],
  ['an unmarked repetition', '  a repeated', 'a:list(a)'],
  ['a map', '  m MAP\n    key_value repeated\n      key\n      value', 'm:map(key value)'],
  ['an old map', '  m MAP\n    map repeated MAP_KEY_VALUE\n      key\n      value', 'm:map(key value)'],
  ['a map marked as its entries', '  m MAP_KEY_VALUE\n    map repeated\n      key\n      value', 'm:map(key value)'],
  ['a struct of one field', '  s\n    x', 's:struct(x)'],
])('%s is seen as the engine sees it', async (_, schema, wanted) => {
  expect(await shapeOf(schema)).toBe(wanted)
})
