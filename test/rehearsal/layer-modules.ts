import { createRequire, registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * Lambda's Node.js runtimes also look for ES modules in the folders of `NODE_PATH`, where layers are; Node.js itself does
 * so for CommonJS only.
 */
export function resolveFromLayers(): void {
  const folders = (process.env.NODE_PATH ?? '').split(':').filter(Boolean)
  registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context)
      } catch (error) {
        if (/^[./]|^\w+:/.test(specifier)) throw error
        for (const folder of folders) {
          try {
            const file = createRequire(join(folder, 'package.json')).resolve(join(folder, specifier))
            return { url: pathToFileURL(file).href, shortCircuit: true }
          } catch {
            // The next layer may have it.
          }
        }
        throw error
      }
    },
  })
}
