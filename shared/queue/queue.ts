/**
 * The durable buffer of push. A record is durable when `send` resolves, and is received at least once, in no promised
 * order, until it is deleted. Throws `queue.unavailable` (retry) or `queue.full` (retry: back-pressure).
 */
export interface Queue {
  /** Appends records; all are durable when it resolves. Calls made at the same time may share one fsync. */
  send(records: readonly QueueRecord[]): Promise<void>
  /** Up to `maxBytes` of records, each with a receipt. What is not deleted within `visibilityMs` comes again. */
  receive(options: { maxBytes: number; maxRecords: number; visibilityMs: number }): Promise<ReceivedRecord[]>
  delete(receipts: readonly string[]): Promise<void>
  /** Records and bytes not yet deleted. */
  depth(): Promise<{ records: number; bytes: number }>
  close(): Promise<void>
}

export interface QueueRecord {
  /** Records of one group (a table) are received together where the queue can. */
  group: string
  /** Small header of the sender: session, offsets, schema version. */
  header: Readonly<Record<string, string | number>>
  body: Uint8Array
}

export interface ReceivedRecord extends QueueRecord {
  receipt: string
}
