import { crc32 } from 'node:zlib'
import type { Connection } from 'mysql2'
import { IngestError } from '../../core/errors.ts'
import { translate } from './errors.ts'
import { checksumOf, eventType, type LogEvent, payloadEvents, readEvent } from './log-events.ts'
import { encodeSets, type FileOffset, type LogPlace, parseFileOffset } from './log-place.ts'
import { rowsOf, type Sessions } from './session.ts'
import { isEnd, requireNoError, Wire } from './wire.ts'

/** End of the log when it was asked for, on the server that answers. */
export async function endOfLog(client: Connection, statement: string): Promise<FileOffset> {
  const [row] = await rowsOf<{ File: string; Position: string | number }>(client, statement)
  if (!row)
    throw new IngestError('config.invalid', 'the server keeps no binary log: start it with log_bin and a server_id')
  return { file: row.File, offset: Number(row.Position) }
}

/**
 * The log from a place on, until there is no more for now. The reader says it is nobody's replica (server id 0), so that
 * any number of readers may come and none pushes a replica of the same id out; it asks not to wait at the end. Protocol:
 * MySQL Internals, "COM_BINLOG_DUMP", "COM_BINLOG_DUMP_GTID"; MariaDB, "Replication Protocol".
 *
 * @param started gets the end of the log before the first event
 * @throws IngestError `source.position_lost` (resync) when the log does not reach back to the place, or was replaced
 */
export async function* readLog(
  sessions: Sessions,
  what: string,
  from: LogPlace,
  started: (end: FileOffset) => void,
): AsyncGenerator<LogEvent[], void, undefined> {
  const server = await sessions.server()
  sessions.signal.throwIfAborted()
  const client = await sessions.open(what)
  const abort = () => sessions.discard(client)
  sessions.signal.addEventListener('abort', abort, { once: true })
  let wire: Wire | undefined
  try {
    const [row] = await rowsOf<{ sum: string }>(client, 'select @@global.binlog_checksum as sum')
    for (const statement of settingsFor(from)) await rowsOf(client, statement)
    started(await endOfLog(client, server.statusStatement))
    wire = new Wire(client)
    wire.send(dumpCommand(from))
    yield* events(wire, row!.sum !== 'NONE')
  } catch (error) {
    sessions.signal.throwIfAborted()
    throw translate(error, what)
  } finally {
    sessions.signal.removeEventListener('abort', abort)
    wire?.release()
    sessions.discard(client)
  }
}

async function* events(wire: Wire, summed: boolean): AsyncGenerator<LogEvent[], void, undefined> {
  let tail = summed ? 4 : 0
  for await (const packets of wire.packets()) {
    let batch: LogEvent[] = []
    for (const packet of packets) {
      if (isEnd(packet)) {
        if (batch.length > 0) yield batch
        return
      }
      requireNoError(packet)
      const bytes = packet.subarray(1)
      if (bytes[4] === eventType.format) tail = checksumOf(bytes) === 1 ? 4 : 0
      if (tail > 0 && crc32(bytes.subarray(0, -4)) !== bytes.readUInt32LE(bytes.length - 4))
        throw new IngestError('source.unavailable', 'an event of the log arrived damaged: its checksum differs')
      const event = readEvent(bytes, tail)
      if (event.type !== eventType.payload) batch.push(event)
      else {
        yield batch
        batch = []
        // All of it ends where the outer event does.
        for await (const inner of payloadEvents(event.body)) yield inner.map((each) => ({ ...each, end: event.end }))
      }
    }
    if (batch.length > 0) yield batch
  }
}

function settingsFor({ kind, text }: LogPlace): string[] {
  // Each server knows one of the two names; a variable that nobody reads does no harm.
  const sums =
    'set @master_binlog_checksum = @@global.binlog_checksum, @source_binlog_checksum = @@global.binlog_checksum'
  if (kind !== 'domains') return [sums]
  // 4: understands MariaDB's transaction names.
  return [
    sums,
    `set @mariadb_slave_capability = 4, @slave_connect_state = '${text}', @slave_gtid_strict_mode = 0, @slave_gtid_ignore_duplicates = 0`,
  ]
}

const doNotWait = 1
const throughGtid = 4

function dumpCommand({ kind, text }: LogPlace): Buffer {
  if (kind === 'sets') {
    const set = encodeSets(text)
    const head = Buffer.alloc(23)
    head[0] = 0x1e
    head.writeUInt16LE(doNotWait | throughGtid, 1)
    // Server id 0, no file name, offset 4.
    head.writeBigUInt64LE(4n, 11)
    head.writeUInt32LE(set.length, 19)
    return Buffer.concat([head, set])
  }
  const { file, offset } = kind === 'file' ? parseFileOffset(text) : { file: '', offset: 4 }
  const head = Buffer.alloc(11)
  head[0] = 0x12
  head.writeUInt32LE(offset, 1)
  head.writeUInt16LE(doNotWait, 5)
  return Buffer.concat([head, Buffer.from(file, 'utf8')])
}
