import { expect, test } from '@jest/globals'
import { deadLetters, readDeadLetter } from '../../../shared/push/dead-letters.ts'
import { misfitOf } from '../../../shared/push/schemas.ts'
import { memoryQueue } from '../../../shared/queue/memory.ts'
import type { Field } from '../../../shared/schema/types.ts'
import { memoryState } from '../../../shared/state/memory.ts'
import { memoryStorage } from '../../../shared/storage/memory.ts'
import { everyCrashPoint } from '../../support/crash.ts'
import { column } from '../../support/delta.ts'
import { faultyQueue } from '../../support/faulty-queue.ts'
import { faultyState } from '../../support/faulty-state.ts'
import { faultyStorage } from '../../support/faulty-storage.ts'
import {
  batchOf,
  CLICKS,
  clicks,
  handClock,
  type PushPorts,
  pushProcess,
  rowsOf,
  rowsText,
} from '../../support/push.ts'

const VIEWS = 'main.events.views'
const both = { declared: [clicks, { ...clicks, name: VIEWS }] }

function world(): PushPorts & { clock: ReturnType<typeof handClock> } {
  const clock = handClock()
  return { storage: memoryStorage(), state: memoryState({ clock }), queue: memoryQueue({ clock }), clock }
}

async function drop(table: string, { storage }: PushPorts) {
  const root = `${table.replaceAll('.', '/')}/`
  for await (const { path } of storage.list(root)) await storage.delete([path])
}

const lettersOf = async (table: string, { storage }: PushPorts) => {
  const letters = await Array.fromAsync(deadLetters(table, storage))
  return Promise.all(
    letters.map(async (letter) => ({
      code: letter.reason.code,
      rows: Buffer.from(await readDeadLetter(letter, storage)).toString(),
    })),
  )
}

test('events of a dropped table are kept with the reason, and those of other tables are stored', async () => {
  const ports = world()
  const before = pushProcess(ports, 1, both)
  await before.receive(batchOf('a', 0, 2), VIEWS)
  await before.flushAndCommit(VIEWS)
  await before.receive(batchOf('a', 2, 4), VIEWS)
  await before.receive(batchOf('b', 0, 2), CLICKS)
  await drop(VIEWS, ports)

  const errors = await pushProcess(ports, 2, { declared: [clicks] }).flushAndCommit()

  expect(errors.failed.map(({ code }) => code)).toEqual(['table.missing'])
  expect((await rowsOf(ports.storage)).map((row) => row.id)).toEqual(['b:0', 'b:1'])
  const [letter, ...more] = await lettersOf(VIEWS, ports)
  expect(more).toEqual([])
  expect(letter).toEqual({ code: 'table.missing', rows: Buffer.from(rowsText('a', 2, 4)).toString() })
  expect(await ports.queue.depth()).toEqual({ records: 0, bytes: 0 })
})

test('events whose columns were replaced are kept, whichever await the server dies at', async () => {
  const points = await everyCrashPoint(async (crash) => {
    const ports = world()
    const before = pushProcess(ports, 1)
    await before.receive(batchOf('a', 0, 3))
    await drop(CLICKS, ports)
    const other = { ...clicks, schema: { fields: [column('id', 'long')] } }
    const faults = { crash }
    await crash.life(() =>
      pushProcess(
        {
          ...ports,
          storage: faultyStorage(ports.storage, faults),
          state: faultyState(ports.state, faults),
          queue: faultyQueue(ports.queue, faults),
        },
        2,
        { declared: [other] },
      ).flushAndCommit(),
    )
    for (let seed = 3; (await ports.queue.depth()).records > 0 && seed < 9; seed++) {
      ports.clock.forward(61_000)
      await pushProcess(ports, seed, { declared: [other] }).flushAndCommit()
    }

    expect(await lettersOf(CLICKS, ports)).toEqual([
      { code: 'push.table_changed', rows: Buffer.from(rowsText('a', 0, 3)).toString() },
    ])
    expect(await rowsOf(ports.storage)).toEqual([])
  })

  expect(points).toBeGreaterThan(15)
})

const long = column('a', 'long')
const optional = column('b', 'string')
const struct = (...fields: Field[]): Field => ({ name: 's', type: { kind: 'struct', fields }, nullable: true })

test.each<[string, Field[], Field[], string | undefined]>([
  ['the same', [long], [long], undefined],
  ['a new column', [long], [long, optional], undefined],
  ['a new field in a struct', [struct(long)], [struct(long, optional)], undefined],
  ['a renamed column', [{ ...long, physicalName: 'p' }], [{ ...long, name: 'z', physicalName: 'p' }], undefined],
  ['a column less', [long, optional], [long], 'the column b is gone'],
  ['another type', [struct(long)], [struct(column('a', 'string'))], 'the column s.a was long and is string'],
  [
    'a column that must not be null now',
    [optional],
    [{ ...optional, nullable: false }],
    'the column b must not be null now',
  ],
  ['a new one that must not', [long], [long, { ...optional, nullable: false }], 'the new column b must not be null'],
])('whether older rows fit a table: %s', (_, older, now, misfit) => {
  expect(misfitOf({ fields: older }, { fields: now })).toBe(misfit)
})
