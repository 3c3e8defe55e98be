import { execFileSync } from 'node:child_process'
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { build } from 'esbuild'

/**
 * Makes dist/: one JavaScript file and one declaration a module for Node and for reading, and `browser.js`, all of it in one
 * small file. Run by `npm run build -w sdk`, and by npm before a pack.
 */
const folder = import.meta.dirname
const dist = join(folder, 'dist')
const tsc = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc')

rmSync(dist, { recursive: true, force: true })
execFileSync(process.execPath, [tsc, '-p', join(folder, 'tsconfig.json')], { stdio: 'inherit' })
for (const name of readdirSync(dist).filter((file) => file.endsWith('.d.ts'))) {
  // The compiler rewrites import paths of the code, not of the declarations.
  const text = readFileSync(join(dist, name), 'utf8')
  writeFileSync(join(dist, name), text.replace(/(from\s+')(\.[^']+)\.ts'/g, "$1$2.js'"))
}
await build({
  entryPoints: [join(folder, 'index.ts')],
  outfile: join(dist, 'browser.js'),
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  logLevel: 'warning',
})
// npm puts a license into the package only from the package's own folder.
copyFileSync(join(folder, '../LICENSE'), join(folder, 'LICENSE'))
