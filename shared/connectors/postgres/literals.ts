/** A value inside an array or composite: its text, NULL, or the elements of a nested array. */
export type Literal = string | null | Literal[]

/** `{1,NULL,"a \"b\"",{2}}`, with or without `[5:6]=` (PostgreSQL documentation, "Array Input and Output Syntax"). */
export function parseArray(text: string, delimiter = ','): Literal[] {
  let at = text.startsWith('[') ? text.indexOf('=') + 1 : 0
  return list()

  function list(): Literal[] {
    const items: Literal[] = []
    at++
    while (text[at] !== '}') {
      if (text[at] === '{') items.push(list())
      else if (text[at] === '"') items.push(quoted())
      else {
        const start = at
        while (text[at] !== delimiter && text[at] !== '}') at += text[at] === '\\' ? 2 : 1
        const item = text.slice(start, at)
        items.push(item === 'NULL' ? null : item.replace(/\\(.)/gs, '$1'))
      }
      if (text[at] === delimiter) at++
    }
    at++
    return items
  }

  function quoted(): string {
    let item = ''
    for (at++; text[at] !== '"'; at++) {
      if (text[at] === '\\') at++
      item += text[at]
    }
    at++
    return item
  }
}

/** `(1,"a,b",,"say ""hi""")`: nothing between commas is NULL (PostgreSQL documentation, "Composite Type Input and Output"). */
export function parseRecord(text: string): (string | null)[] {
  const items: (string | null)[] = []
  let item: string | null = null
  let quoted = false
  for (let at = 1; at < text.length; at++) {
    const letter = text[at]!
    if (quoted) {
      if (letter === '\\') item += text[++at]!
      else if (letter !== '"') item += letter
      else if (text[at + 1] === '"') item += text[++at]!
      else quoted = false
    } else if (letter === '"') {
      quoted = true
      item ??= ''
    } else if (letter === ',' || (letter === ')' && at === text.length - 1)) {
      items.push(item)
      item = null
    } else item = (item ?? '') + (letter === '\\' ? text[++at]! : letter)
  }
  return items
}

/** `"a"=>"1", "b"=>NULL` as hstore writes it. */
export function parseHstore(text: string): Record<string, string | null> {
  const pairs = text.matchAll(/"((?:[^"\\]|\\.)*)"=>(?:NULL|"((?:[^"\\]|\\.)*)")/gs)
  const plain = (quoted: string) => quoted.replace(/\\(.)/gs, '$1')
  return Object.fromEntries(
    [...pairs].map(([, key, value]) => [plain(key!), value === undefined ? null : plain(value)]),
  )
}
