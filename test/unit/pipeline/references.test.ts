import { expect, test } from '@jest/globals'
import { hasReference, type ReferenceSource, resolveText } from '../../../shared/pipeline/references.ts'

const source: ReferenceSource = {
  env: (name) => ({ HOST: 'db.example.com', EMPTY: '' })[name],
  file: async (path) => ({ '/run/secrets/password': 'p@ss ${env:HOST}\n' })[path],
  secret: async (name) => ({ token: 't0ken' })[name],
}

/** The text with its references resolved, and the values that were looked up. */
async function resolve(text: string) {
  const seen: string[] = []
  return { text: await resolveText(text, source, (value, kind) => seen.push(`${kind}=${value}`)), seen }
}

test.each([
  ['plain', 'plain', []],
  ['${env:HOST}', 'db.example.com', ['env=db.example.com']],
  [
    'postgres://${env:HOST}/${secret: token }',
    'postgres://db.example.com/t0ken',
    ['env=db.example.com', 'secret=t0ken'],
  ],
  ['${env:EMPTY}', '', ['env=']],
  ['costs $5 $${env:HOST}', 'costs $5 ${env:HOST}', []],
])('%s', async (text, resolved, seen) => {
  expect(await resolve(text)).toEqual({ text: resolved, seen })
})

test('the end of line of a file is not part of its value, and the value is not looked into', async () => {
  expect((await resolve('${file:/run/secrets/password}')).text).toBe('p@ss ${env:HOST}')
})

test.each([
  ['${env:NOPE}', 'config.secret_missing', 'the environment variable NOPE is not set'],
  ['${file:nope}', 'config.secret_missing', 'there is no readable file nope'],
  ['${secret:nope}', 'config.secret_missing', 'there is no secret nope; store it with lakeflow secret set nope'],
  ['${nope:x}', 'config.invalid', '${nope:x} is not understood'],
  ['${env:}', 'config.invalid', '${env:} is not understood'],
  ['${bundle.target}', 'config.invalid', '${bundle.target} is a variable of a Databricks bundle; write its value'],
])('%s is refused as %s', async (text, code, message) => {
  await expect(resolve(text)).rejects.toMatchObject({ code, message: expect.stringContaining(message) })
})

test('an escaped reference is none', () => {
  expect([hasReference('${env:A}'), hasReference('$${env:A}'), hasReference('a')]).toEqual([true, false, false])
})
