import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One resource of a synthesized stack. */
export interface Resource {
  stack: string
  id: string
  type: string
  properties: Record<string, unknown>
}

export interface Assembly {
  folder: string
  resources: readonly Resource[]
  /** Export name -> the expression exported, with its stack. */
  exports: ReadonlyMap<string, { stack: string; value: unknown }>
  /** Asset hash -> folder of the bundle. */
  assets: ReadonlyMap<string, string>
}

interface Template {
  Resources: Record<string, { Type: string; Properties?: Record<string, unknown> }>
  Outputs?: Record<string, { Value: unknown; Export?: { Name: string } }>
}

/** Reads every template of a synthesized cloud assembly. */
export function readAssembly(folder: string): Assembly {
  const read = (name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'))
  const resources: Resource[] = []
  const exports = new Map<string, { stack: string; value: unknown }>()
  const assets = new Map<string, string>()
  for (const file of readdirSync(folder)) {
    const stack = /^(.*)\.template\.json$/.exec(file)?.[1]
    if (!stack) continue
    const template: Template = read(file)
    for (const [id, { Type, Properties }] of Object.entries(template.Resources)) {
      resources.push({ stack, id, type: Type, properties: Properties ?? {} })
    }
    for (const output of Object.values(template.Outputs ?? {})) {
      if (output.Export) exports.set(output.Export.Name, { stack, value: output.Value })
    }
    const { files } = read(`${stack}.assets.json`) as { files: Record<string, { source: { path: string } }> }
    for (const [hash, { source }] of Object.entries(files)) assets.set(hash, join(folder, source.path))
  }
  return { folder, resources, exports, assets }
}

/** What a created resource answers to Ref and Fn::GetAtt. */
export interface Physical {
  ref: string
  attributes: Readonly<Record<string, string>>
}

export class Unresolved extends Error {}

/** Evaluates the intrinsic functions of CloudFormation. Throws Unresolved while something it needs is not created. */
export function resolve(
  value: unknown,
  stack: string,
  world: { assembly: Assembly; created: ReadonlyMap<string, Physical>; pseudo: Readonly<Record<string, string>> },
): unknown {
  const go = (v: unknown): unknown => resolve(v, stack, world)
  if (Array.isArray(value)) return value.map(go)
  if (typeof value !== 'object' || value === null) return value
  const [[name, argument] = ['', undefined], ...more] = Object.entries(value)
  if (more.length || !/^(Ref$|Fn::)/.test(name)) {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, go(v)]))
  }
  const physical = (id: string) => {
    const found = world.created.get(`${stack}/${id}`)
    if (!found) throw new Unresolved(`${stack}/${id}`)
    return found
  }
  switch (name) {
    case 'Ref':
      return world.pseudo[argument as string] ?? physical(argument as string).ref
    case 'Fn::GetAtt': {
      const [id, attribute] = argument as [string, string]
      const found = physical(id).attributes[attribute]
      if (found === undefined) throw new Error(`${stack}/${id} has no attribute ${attribute} in the rehearsal`)
      return found
    }
    case 'Fn::Join':
      return (go((argument as [string, unknown])[1]) as string[]).join((argument as [string, unknown])[0])
    case 'Fn::Sub':
      return (argument as string).replace(/\$\{([^}]+)\}/g, (_, key) => String(go({ Ref: key })))
    case 'Fn::ImportValue': {
      const exported = world.assembly.exports.get(go(argument) as string)
      if (!exported) throw new Error(`nothing exports ${JSON.stringify(argument)}`)
      return resolve(exported.value, exported.stack, world)
    }
    default:
      throw new Error(`the intrinsic function ${name} is not evaluated`)
  }
}
