import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { httpDoor } from '../../../local/push/http-door.ts'
import type { Principal } from '../../../shared/push/auth.ts'
import type { Window } from '../../../shared/push/pressure.ts'
import { CLICKS } from '../../support/push.ts'
import { fuzzWorld } from '../../support/push-fuzz-world.ts'

const BODY = Buffer.from('{"id":"a"}\n'.repeat(100))
const principal: Principal = { subject: 'a', grants: [{ tables: ['*'], actions: ['write'] }], quota: {} }

/** A door that may hold three bodies, of a server that is behind until it is told to be no more. */
function crowdedDoor() {
  const { context } = fuzzWorld()
  let window: Window = { bytes: 0, records: 0 }
  const settings = { ...context.settings, memoryBytes: 4 * 3 * BODY.length }
  const door = httpDoor({ ...context, settings, window: () => window }, async () => principal)
  let read = 0
  const post = () => {
    const body = new Readable({
      read() {
        read++
        this.push(BODY)
        this.push(null)
      },
    })
    const request = Object.assign(body, {
      method: 'POST',
      url: `/zerobus/v1/tables/${CLICKS}/insert`,
      headers: { 'content-length': `${BODY.length}` },
    })
    const status = new Promise<number>((resolve) => {
      const response = { writeHead: (code: number) => ({ end: () => resolve(code) }) }
      door(request as unknown as IncomingMessage, response as unknown as ServerResponse)
    })
    return { request, status }
  }
  return {
    post,
    bodiesRead: () => read,
    catchUp() {
      window = { bytes: 1 << 20, records: 1000 }
    },
  }
}

async function settled() {
  for (let i = 0; i < 50; i++) await turn()
}

test('while the server is behind, requests wait with their bodies unread once some are held, and all are taken later', async () => {
  const { post, bodiesRead, catchUp } = crowdedDoor()

  const requests = Array.from({ length: 10 }, post)
  await settled()
  const held = bodiesRead()
  catchUp()
  const statuses = await Promise.all(requests.map(({ status }) => status))

  expect(held).toBe(3)
  expect(statuses).toEqual(Array(10).fill(200))
})

test('requests whose clients are gone by their turn take no place from others', async () => {
  const { post, catchUp } = crowdedDoor()
  const first = Array.from({ length: 3 }, post)
  await settled()

  const gone = Array.from({ length: 10 }, post)
  await settled()
  for (const { request } of gone) request.destroy()
  const last = post()
  await sleep(10)
  catchUp()

  expect(await Promise.all(first.map(({ status }) => status))).toEqual([200, 200, 200])
  expect(await last.status).toBe(200)
  expect(await Promise.all(gone.map(({ status }) => status))).toEqual(Array(10).fill(400))
})
