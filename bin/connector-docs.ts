import * as z from 'zod'
import type { About, Connector } from '../shared/connector/connector.ts'

const compared = {
  position: 'Position',
  snapshot: 'Snapshot',
  changes: 'Changes',
  deletes: 'Deletes',
  historyLoss: 'When history is lost',
} as const satisfies Partial<Record<keyof About, string>>

/**
 * The text of docs/connectors.md: one table that compares all sources, then the facts and options of each.
 * `hasPage` tells which connectors have a page of prose in docs/connectors/.
 */
export function connectorDocs(connectors: readonly Connector[], hasPage: (name: string) => boolean): string {
  return [
    '# Connectors',
    '',
    'A connection has a `type` and the options of that connector. `npx lakeflow check <connection>` says what is missing,',
    '`npx lakeflow discover <connection>` what can be read and how. Written from `shared/connectors/` by `npm run docs`; do not',
    'edit it by hand. [How to add a connector](adding-a-connector.md).',
    '',
    ...table(
      ['Source', 'Ways to read', ...Object.values(compared)],
      connectors.map(({ name, about }) => [
        `[\`${name}\`](#${name})`,
        modesText(about),
        ...Object.keys(compared).map((fact) => String(about[fact as keyof typeof compared])),
      ]),
    ),
    ...connectors.flatMap((connector) => ['', ...section(connector, hasPage(connector.name))]),
    '',
  ].join('\n')
}

function section({ name, title, about, config }: Connector, hasPage: boolean): string[] {
  return [
    `<a id="${name}"></a>`,
    '',
    `## ${title}`,
    '',
    ...(hasPage
      ? [`How it reads, its types and what follows from what: [docs/connectors/${name}.md](connectors/${name}.md).`, '']
      : []),
    `- **Signing in:** ${about.auth}.`,
    `- **Objects:** ${about.objects}.`,
    `- **Limits:** ${about.limits}.`,
    `- **Tested against:** ${about.tested}.`,
    '',
    ...table(['Option', 'Default', 'Meaning'], options(config)),
  ]
}

const modesText = ({ modes }: About) => modes.map((mode) => `\`${mode}\``).join(', ')

interface OptionSchema {
  description?: string
  default?: unknown
  enum?: readonly string[]
}

function options(config: z.ZodType): string[][] {
  const schema = z.toJSONSchema(config, { io: 'input', unrepresentable: 'any' })
  const required = new Set(schema.required)
  return Object.entries((schema.properties ?? {}) as Record<string, OptionSchema>).map(([name, option]) => [
    `\`${name}\``,
    required.has(name)
      ? '(required)'
      : option.default === undefined || option.default === ''
        ? ''
        : `\`${option.default}\``,
    [option.enum && `One of ${option.enum.map((value) => `\`${value}\``).join(', ')}.`, option.description]
      .filter((text) => text)
      .join(' '),
  ])
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)]
}
