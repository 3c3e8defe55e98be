import { execFileSync, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { rowsOf } from '../support/push.ts'
import { startTestPush } from '../support/push-door.ts'
import { type BuiltPackage, buildPackage } from './built-package.ts'

let built: BuiltPackage
const cleanups: (() => Promise<unknown>)[] = []
beforeAll(() => {
  built = buildPackage()
})
afterAll(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
  built?.remove()
})

test('what is published is the built code, its declarations, the manifest, the readme and the license', () => {
  const modules = /^dist\/[a-z-]+(\.js|\.d\.ts)$/

  expect(built.files.filter((path) => !modules.test(path)).sort()).toEqual(['LICENSE', 'README.md', 'package.json'])
  for (const path of ['index.js', 'index.d.ts', 'browser.js', 'spool.js', 'spool.d.ts'])
    expect(built.files).toContain(`dist/${path}`)
})

test('the package needs no other package, and no file of it names one', () => {
  expect(built.manifest.dependencies).toBeUndefined()
  for (const path of built.files.filter((file) => /\.(js|d\.ts)$/.test(file))) {
    const text = readFileSync(join(built.folder, path), 'utf8')
    const foreign = [...text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)]
      .map(([, name]) => name!)
      .filter((name) => !/^\.\/[a-z-]+\.js$/.test(name) && !(name.startsWith('node:') && path.startsWith('dist/spool')))
    expect({ path, foreign }).toEqual({ path, foreign: [] })
  }
})

test('a page loads less than 10 KB gzipped', () => {
  const size = gzipSync(readFileSync(join(built.folder, 'dist/browser.js')), { level: 9 }).length

  console.log(`browser.js: ${size} bytes gzipped`)
  expect(size).toBeLessThan(10_000)
})

test('the exports lead to files that are there, and the spool is refused to browsers', () => {
  const paths = JSON.stringify(built.manifest.exports).match(/\.\/dist\/[^"]+/g)!

  for (const path of paths) expect(built.files).toContain(path.slice(2))
  expect(built.manifest.exports['./spool']).toMatchObject({ browser: null })
})

test('the declarations give a strict consumer the types of the calls', () => {
  const source = `
    import { ZerobusSdk, type ZerobusStream, RejectedRecordsError } from '@lakeflow/zerobus'
    import { diskSpool } from '@lakeflow/zerobus/spool'
    const sdk = new ZerobusSdk('http://x', { token: async () => 't' })
    const stream: ZerobusStream = await sdk.createStream({ tableName: 'a.b.c' }, { spool: diskSpool('x'), onAck: (o: bigint) => {} })
    const offset: bigint = await stream.ingestRecordOffset({ a: 1 })
    const last: bigint | null = await stream.ingestRecordsOffset(['{}', new Uint8Array()])
    const records: Uint8Array[] = await stream.getUnackedRecords()
    const again: ZerobusStream = await sdk.recreateStream(stream)
    // @ts-expect-error a number is not a record
    await stream.ingestRecordOffset(5)
    console.log(offset, last, records, again, RejectedRecordsError)
  `
  writeFileSync(join(built.project, 'consumer.mts'), source)
  const tsc = join(import.meta.dirname, '../../node_modules/typescript/bin/tsc')
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022']

  const run = () =>
    execFileSync(process.execPath, [tsc, ...options, 'consumer.mts'], { cwd: built.project, encoding: 'utf8' })

  expect(run()).toBe('')
})

test('the example of the readme runs as it stands', async () => {
  const server = await startTestPush(cleanups)
  const readme = readFileSync(join(built.folder, 'README.md'), 'utf8')
  const example = /```js\n([\s\S]*?)```/.exec(readme)![1]!
  writeFileSync(join(built.project, 'example.mjs'), example)

  await run(['example.mjs'], { ZEROBUS_URL: server.url, ZEROBUS_TOKEN: 'secret' })
  await server.close()

  expect(await rowsOf(server.lake)).toHaveLength(1001)
})

/** Asynchronous, because the server is in this process. */
function run(args: string[], env: Record<string, string>) {
  return new Promise<void>((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: built.project,
      env: { ...process.env, ...env },
      stdio: 'inherit',
    })
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`the example ended with ${code}`))))
  })
}
