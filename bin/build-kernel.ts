import { existsSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const source = join(root, 'shared/columnar/kernel/main.ts')

/** Compiles the columnar kernel (AssemblyScript) to shared/columnar/kernel.wasm. Runs after every `npm install`. */
async function buildKernel() {
  if (!existsSync(source)) return
  const { default: asc } = await import('assemblyscript/asc')
  const { error, stderr } = await asc.main(
    [source, '--outFile', join(root, 'shared/columnar/kernel.wasm'), '-O3', '--runtime', 'stub', '--enable', 'simd'],
    {},
  )
  if (error) throw new Error(`the columnar kernel did not compile: ${error.message}\n${stderr?.toString() ?? ''}`)
}

await buildKernel()
