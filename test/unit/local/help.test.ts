import { expect, test } from '@jest/globals'
import { commands } from '../../../local/commands.ts'
import { demo } from '../../../local/demo/demo.ts'
import { helpOf, overview } from '../../../local/help.ts'

test('the list of commands', () => {
  expect(overview(commands)).toMatchSnapshot()
})

test.each([...commands, demo].map((command) => [command.name, command] as const))(
  'the help of %s',
  (_name, command) => {
    expect(helpOf(command)).toMatchSnapshot()
  },
)

test('an option means the same in every command', () => {
  const shorts = commands.flatMap((command) => Object.values(command.options ?? {}).map((option) => option.short))

  expect(shorts.filter((short) => short === 'f' || short === 'h')).toEqual([])
})
