import {
  type AttributeValue,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  paginateQuery,
  type QueryCommandInput,
  type TransactWriteItem,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb'
import { compareBytes } from '../core/byte-order.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { IngestError } from '../core/errors.ts'
import { type Random, systemRandom } from '../core/random.ts'
import { checkKey, checkWrites, encodeValue } from './check.ts'
import { dynamoError, failedConditions, isContention, wasRetried } from './dynamodb-errors.ts'
import type { Entry, EntryKey, EntryWrite, StateStore } from './state-store.ts'

/**
 * One DynamoDB table as the state store: partition key `pk`, sort key `sk`, both strings, TTL on `ttl` (decision 0002).
 * Reads are strongly consistent and never scan. A write stamps its items with a token, so that a retry the SDK made
 * after a lost reply is told from somebody else's write.
 */
export function dynamoState(
  client: DynamoDBClient,
  table: string,
  { clock = systemClock, random = systemRandom }: { clock?: Clock; random?: Random } = {},
): StateStore {
  /** A number no entry had: 2^12 in each millisecond, exact in a double until 2039. */
  const freshVersion = () => clock.now() * 4096 + Math.floor(random.next() * 4096)

  async function item(key: EntryKey): Promise<Item | undefined> {
    const output = await client.send(new GetItemCommand({ TableName: table, Key: itemKey(key), ConsistentRead: true }))
    return output.Item as Item | undefined
  }

  /** After a retry whose condition failed: did the first try make it fail? Only the token can tell. */
  async function confirmWritten(writes: readonly EntryWrite[], token: string): Promise<void> {
    const puts = writes.filter((write) => !('remove' in write))
    const items = await Promise.all(puts.map(item))
    if (puts.length > 0 && items.every((found) => found?.token?.S === token)) return
    throw new IngestError('state.unavailable', 'a reply was lost and the entries have changed since')
  }

  /** One item is half the price and time of a transaction of one. */
  async function send(items: TransactWriteItem[], ClientRequestToken: string): Promise<void> {
    const [{ Put, Delete } = {}, ...more] = items
    if (more.length > 0) await client.send(new TransactWriteItemsCommand({ TransactItems: items, ClientRequestToken }))
    else if (Put) await client.send(new PutItemCommand(Put))
    else if (Delete) await client.send(new DeleteItemCommand(Delete))
  }

  return {
    async read(key) {
      checkKey(key)
      const found = await translated(`read ${key.partition}`, () => item(key))
      return found && isAlive(found, clock.now()) ? entryOf(found) : undefined
    },

    async list(partition, { prefix = '', after, limit = Infinity, descending = false } = {}) {
      const start = startOf(prefix, after, descending)
      if (start === 'beyond') return []
      const query: QueryCommandInput = {
        TableName: table,
        ConsistentRead: true,
        ScanIndexForward: !descending,
        KeyConditionExpression: prefix === '' ? 'pk = :pk' : 'pk = :pk AND begins_with(sk, :prefix)',
        ExpressionAttributeValues: { ':pk': { S: partition }, ...(prefix !== '' && { ':prefix': { S: prefix } }) },
        ...(start && { ExclusiveStartKey: itemKey({ partition, sort: start }) }),
        ...(Number.isFinite(limit) && { Limit: Math.max(1, limit) }),
      }
      return await translated(`list ${partition}`, async () => {
        const entries: Entry[] = []
        if (limit <= 0) return entries
        for await (const { Items } of paginateQuery({ client }, query)) {
          for (const found of (Items ?? []) as unknown as Item[]) {
            if (isAlive(found, clock.now())) entries.push(entryOf(found))
            if (entries.length === limit) return entries
          }
        }
        return entries
      })
    },

    async write(writes) {
      checkWrites(writes)
      const token = random.uuid()
      const now = clock.now()
      const versions = writes.map((write) => ('remove' in write ? 0 : freshVersion()))
      const items = writes.map((write, i) => transactItem(table, write, versions[i]!, token, now))
      return await translated('write state', async () => {
        let isUnsure = false
        for (let tries = 1; ; tries++) {
          try {
            await send(items, token)
            return versions
          } catch (error) {
            isUnsure ||= wasRetried(error)
            if (failedConditions(error)) {
              if (!isUnsure) return undefined
              await confirmWritten(writes, token)
              return versions
            }
            if (!isContention(error) || tries === maxTries) throw error
            await clock.sleep(random.next() * 10 * 2 ** tries)
          }
        }
      })
    },

    async close() {},
  }
}

/** Of one write that met others on the same items: some 20 s in all. */
const maxTries = 11

interface Item {
  pk: { S: string }
  sk: { S: string }
  value: { S: string }
  version: { N: string }
  token?: { S: string }
  expiresAtMs?: { N: string }
}

const itemKey = ({ partition, sort }: EntryKey): Record<string, AttributeValue> => ({
  pk: { S: partition },
  sk: { S: sort },
})

/** DynamoDB removes expired items days later, so readers look at the time themselves. */
const isAlive = ({ expiresAtMs }: Item, now: number) => expiresAtMs === undefined || Number(expiresAtMs.N) > now

function entryOf({ pk, sk, value, version }: Item): Entry {
  try {
    return { partition: pk.S, sort: sk.S, value: JSON.parse(value.S), version: Number(version.N) }
  } catch (error) {
    throw new IngestError('state.invalid', `the entry ${pk.S} / ${sk.S} is not JSON`, { cause: error })
  }
}

/** Where a listing starts: a sort key, `beyond` when nothing can follow, or undefined for the first. */
function startOf(prefix: string, after: string | undefined, descending: boolean): string | undefined {
  if (after === undefined) return undefined
  if (after !== '' && after.startsWith(prefix)) return after
  const isPast = compareBytes(after, prefix) > 0
  return isPast !== descending ? 'beyond' : undefined
}

function transactItem(
  table: string,
  write: EntryWrite,
  version: number,
  token: string,
  now: number,
): TransactWriteItem {
  const { ConditionExpression, names, values } = conditionOf(write.expect, now)
  const condition = ConditionExpression && {
    ConditionExpression,
    ...(names && { ExpressionAttributeNames: names }),
    ExpressionAttributeValues: values,
  }
  if ('remove' in write) return { Delete: { TableName: table, Key: itemKey(write), ...condition } }
  const { expiresAtMs } = write
  const Item: Record<string, AttributeValue> = {
    ...itemKey(write),
    value: { S: encodeValue(write.value) },
    version: { N: String(version) },
    token: { S: token },
    ...(expiresAtMs !== undefined && {
      expiresAtMs: { N: String(expiresAtMs) },
      ttl: { N: String(Math.ceil(expiresAtMs / 1000)) },
    }),
  }
  return { Put: { TableName: table, Item, ...condition } }
}

function conditionOf(expect: EntryWrite['expect'], now: number) {
  const nowValue = { ':now': { N: String(now) } }
  if (expect === 'any') return {}
  if (expect === 'absent') {
    return { ConditionExpression: 'attribute_not_exists(pk) OR expiresAtMs <= :now', values: nowValue }
  }
  return {
    ConditionExpression: '#version = :version AND (attribute_not_exists(expiresAtMs) OR expiresAtMs > :now)',
    names: { '#version': 'version' },
    values: { ':version': { N: String(expect) }, ...nowValue },
  }
}

async function translated<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw dynamoError(error, doing)
  }
}
