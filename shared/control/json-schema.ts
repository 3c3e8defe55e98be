import * as z from 'zod'
import type { Connector } from '../connector/connector.ts'
import { Spec } from '../pipeline/spec.ts'

type JsonObject = { [key: string]: unknown }

/**
 * The JSON Schema of `lakeflow.yml` (draft 2020-12), for editors: the spec's, with the fields of each connector under
 * its `type`.
 */
export function specJsonSchema(connectors: readonly Connector[]): JsonObject {
  const schema = toJsonSchema(Spec)
  const properties = schema.properties as Record<string, JsonObject>
  properties.connections!.additionalProperties = { anyOf: connectors.map(connectionSchema) }
  return { title: 'lakeflow.yml', ...schema }
}

function connectionSchema(connector: Connector): JsonObject {
  const { $schema: _, ...schema } = toJsonSchema(connector.config)
  return {
    title: connector.title,
    ...schema,
    properties: {
      type: { const: connector.name, description: connector.title },
      ...allowReferences(schema.properties),
    },
    required: ['type', ...((schema.required as string[] | undefined) ?? [])],
  }
}

function toJsonSchema(schema: z.ZodType): JsonObject {
  return z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override({ jsonSchema }) {
      if (jsonSchema.ignored) jsonSchema.deprecated = true
      delete jsonSchema.ignored
      delete jsonSchema.secret
      // zod states the largest safe integer, which tells a person nothing.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
    },
  }) as JsonObject
}

const reference = { type: 'string', pattern: '\\$\\{(env|file|secret):[^}]+\\}' }

/** A number or a choice may also be written as a reference. */
function allowReferences(properties: unknown): JsonObject {
  return Object.fromEntries(
    Object.entries((properties ?? {}) as Record<string, JsonObject>).map(([name, schema]) => {
      const { description, default: initial, ...rest } = schema
      const plainText = rest.type === 'string' && !rest.enum && !rest.pattern
      if (plainText || rest.type === 'object' || rest.type === 'array') return [name, schema]
      return [
        name,
        {
          ...(description ? { description } : {}),
          ...(initial === undefined ? {} : { default: initial }),
          anyOf: [rest, reference],
        },
      ]
    }),
  )
}
