import { createHash } from 'node:crypto'
import { expect, test } from '@jest/globals'
import type { Schema } from '../../../shared/schema/types.ts'
import { readDuckdb, readHyparquet, writeFile } from '../../support/columnar.ts'

const schema: Schema = { fields: [{ name: 's', type: { kind: 'string' }, nullable: false }] }

/** Hexadecimal digits in which nothing repeats for long. */
const digits = (seed: string, length: number) => {
  let text = ''
  for (let i = 0; text.length < length; i++) text += createHash('sha512').update(`${seed}${i}`).digest('hex')
  return text.slice(0, length)
}

test('a page in which some blocks of 64 KiB lose nothing and others nearly all is read as it was written', async () => {
  const values = [
    digits('a', 200_000),
    'carefully final deposits '.repeat(6000),
    digits('b', 65_536 - 4),
    digits('c', 65_536 + 15),
    'x'.repeat(65_536),
    ...Array.from({ length: 5000 }, (_, i) => digits(`${i}`, 36)),
    digits('d', 14),
  ]

  const file = writeFile(schema, [values.map((s) => `${JSON.stringify({ s })}\n`).join('')])

  const rows = values.map((value) => [value])
  expect(await readDuckdb(schema, file.bytes)).toEqual(rows)
  expect(await readHyparquet(schema, file.bytes)).toEqual(rows)
  // Random digits keep about their size, the rest next to nothing.
  expect(file.bytes.length).toBeLessThan(540_000)
  expect(file.bytes.length).toBeGreaterThan(400_000)
})
