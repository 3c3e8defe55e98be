import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Secrets } from '../../shared/secrets/secrets.ts'

export interface OpenSecrets {
  secrets: Secrets
  close(): Promise<void>
}

/** What every Secrets keeps. Names differ from test to test, so all share one. */
export function secretsContract(open: () => Promise<OpenSecrets>): void {
  let opened: OpenSecrets
  let secrets: Secrets

  beforeAll(async () => {
    opened = await open()
    secrets = opened.secrets
  })
  afterAll(() => opened.close())

  test('a secret is read back as it was put, and put again it is replaced', async () => {
    const value = '{"password":"p\u00e4ss \\"word\\" \u{1f986}\\n"}'
    await secrets.put('connections/shop', value)
    expect(await secrets.get('connections/shop')).toBe(value)

    await secrets.put('connections/shop', 'next')
    expect(await secrets.get('connections/shop')).toBe('next')
  })

  test('a missing secret is undefined, and deleting it is no error', async () => {
    expect(await secrets.get('missing/one')).toBeUndefined()
    expect(await secrets.list()).not.toContain('missing/one')
    await secrets.delete('missing/one')
  })

  test('a deleted secret is gone, and can be put again', async () => {
    await secrets.put('short-lived', 'one')
    await secrets.delete('short-lived')
    expect(await secrets.get('short-lived')).toBeUndefined()
    expect(await secrets.list()).not.toContain('short-lived')
    await secrets.delete('short-lived')

    await secrets.put('short-lived', 'two')
    expect(await secrets.get('short-lived')).toBe('two')
  })

  test('names are told apart by every character, case and part', async () => {
    const names = ['a', 'A', 'a/b', 'a/B', 'a.b', 'a-b', 'a_b', 'a/b/c/d/e/f/g/h', 'x'.repeat(200)]
    for (const name of names) await secrets.put(name, `value of ${name}`)

    for (const name of names) expect(await secrets.get(name)).toBe(`value of ${name}`)
    const listed = await secrets.list()
    expect(listed).toEqual(expect.arrayContaining(names))
    expect(listed).toEqual([...new Set(listed)].sort())
  })

  test('eight kilobytes are kept', async () => {
    const value = '"\n'.repeat(4 * 1024)
    await secrets.put('large', value)

    expect(await secrets.get('large')).toBe(value)
  })

  test.each([
    '',
    '/a',
    'a/',
    'a//b',
    '../a',
    'a/../b',
    '.',
    'a b',
    'a\n',
    'a\0',
    'ä',
    'x'.repeat(201),
    'a/b/c/d/e/f/g/h/i',
  ])('the name %j is refused everywhere', async (name) => {
    const refused = { code: 'config.invalid', remedy: 'fix' }

    await expect(secrets.get(name)).rejects.toMatchObject(refused)
    await expect(secrets.put(name, 'value')).rejects.toMatchObject(refused)
    await expect(secrets.delete(name)).rejects.toMatchObject(refused)
  })

  test('an empty or too large value is refused, and the message does not hold it', async () => {
    const value = 'hunter2'.repeat(2_000)

    await expect(secrets.put('a', '')).rejects.toMatchObject({ code: 'config.invalid' })
    const error: Error = await secrets.put('a', value).catch((error) => error)
    expect(error).toMatchObject({ code: 'config.invalid' })
    expect(error.message).not.toContain('hunter2')
  })
}
