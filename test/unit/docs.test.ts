import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from '@jest/globals'

const root = join(import.meta.dirname, '../..')

test('links between pages lead somewhere', () => {
  const pages = ['README.md', 'CHANGELOG.md', ...globSync('docs/**/*.md', { cwd: root })]

  const broken = pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)]
      .map((match) => match[1]!)
      .filter((target) => !existsSync(join(root, dirname(page), target)))
      .map((target) => `${page}: ${target}`),
  )

  expect(broken).toEqual([])
})

test('a decision that code or pages name has its record', () => {
  const records = globSync('docs/decisions/*.md', { cwd: root }).map((path) => path.match(/(\d{4})-/)?.[1])
  const files = globSync('{shared,functions,local,infra,sdk,bench,bin}/**/*.ts', { cwd: root }).filter(
    (file) => !file.includes('node_modules'),
  )

  const missing = files.flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/\bdecision (\d{4})\b/g)]
      .map((match) => match[1]!)
      .filter((number) => !records.includes(number))
      .map((number) => `${file}: ${number}`),
  )

  expect(missing).toEqual([])
})
