import { expect, jest, test } from '@jest/globals'
import type { ChangeStream } from '../../shared/connector/connector.ts'
import { mysql } from '../../shared/connectors/mysql/mysql.ts'
import { connect } from '../support/connector-run.ts'
import { Replica } from '../support/replica.ts'
import { sessionOn } from './database.ts'
import { flavourOfRun, isOld, startServer } from './server.ts'

jest.setTimeout(120_000)

/** How a standby follows by the names of transactions, in the words of each server. */
const follow = {
  mariadb: { by: 'master_use_gtid = slave_pos', place: '@@gtid_binlog_pos', wait: 'master_gtid_wait' },
  mysql: {
    by: `master_auto_position = 1${isOld() ? '' : ', get_master_public_key = 1'}`,
    // Without `global`, 5.7 gives what the session has begun to write.
    place: '@@global.gtid_executed',
    wait: 'wait_for_executed_gtid_set',
  },
}[flavourOfRun()]

test('reading goes on at a replica that took over, by transaction names; by file and offset the table is copied again', async () => {
  await using primary = await startServer()
  await using standby = await startServer(['--server-id=8', '--log-slave-updates'])
  const writer = await sessionOn(primary.config)
  const other = await sessionOn(standby.config)
  await other.query(`change master to master_host = '127.0.0.1', master_port = ${primary.config.port}, master_user = 'lakeflow',
    master_password = 'secret', ${follow.by}; start slave`)
  await writer.query(
    `create database shop; create table shop.orders (id int primary key, v int); insert into shop.orders values (1, 1), (2, 2)`,
  )
  const replicas: Replica[] = []
  for (const cdc_position of ['gtid', 'file']) {
    await using source = await connect(mysql, { ...primary.config, cdc_position })
    const replica = new Replica(await source.open('shop.orders', 'cdc'))
    await replica.load()
    await writer.query('update shop.orders set v = v + 1')
    await replica.follow()
    replicas.push(replica)
  }
  await writer.query('insert into shop.orders values (3, 3)')
  const [[{ place }]] = (await writer.query(`select ${follow.place} as place`)) as never as [[{ place: string }]]
  const [[{ timedOut }]] = (await other.query(`select ${follow.wait}('${place}', 30) as timedOut`)) as never as [
    [{ timedOut: unknown }],
  ]
  expect(String(timedOut)).toBe('0')
  await primary.stop('SIGKILL')
  writer.destroy()
  await other.query('stop slave; delete from shop.orders where id = 1; insert into shop.orders values (4, 4)')

  await using names = await connect(mysql, standby.config)
  await replicas[0]!.follow((await names.open('shop.orders', 'cdc')) as ChangeStream)
  expect(replicas[0]!.sorted()).toEqual([
    { id: '2', v: '4' },
    { id: '3', v: '3' },
    { id: '4', v: '4' },
  ])
  await using files = await connect(mysql, { ...standby.config, cdc_position: 'file' })
  await expect(replicas[1]!.follow((await files.open('shop.orders', 'cdc')) as ChangeStream)).rejects.toMatchObject({
    code: 'source.position_lost',
    message: expect.stringContaining('another server'),
  })
  await other.end()
})
