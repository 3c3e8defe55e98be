/**
 * The durable buffer of push. A record is durable when `send` resolves, and is received at least once, in no promised
 * order, until it is deleted. Throws only IngestError: `queue.unavailable` (retry), after which the outcome of a `send` is
 * unknown, or `queue.full` (retry: back-pressure), after which nothing was accepted; `queue.corrupt` and what
 * `storage.*` codes say of a place that may not be used (fix).
 */
export interface Queue {
  /** Takes records over; all are durable when it resolves. Calls made at the same time may share one fsync. */
  send(records: readonly QueueRecord[]): Promise<void>
  /**
   * Takes records over as `send` does, and hands them out at once: each comes by `receive` only if it is not deleted by its
   * receipt, returned in order, within `visibilityMs`. Only a queue in this process has this.
   */
  sendTaken?(records: readonly QueueRecord[], visibilityMs: number): Promise<string[]>
  /**
   * Up to `maxBytes` of bodies (but a first record however large), each with a receipt; empty when there is none now. What
   * is not deleted within `visibilityMs` comes again.
   */
  receive(options: { maxBytes: number; maxRecords: number; visibilityMs: number }): Promise<ReceivedRecord[]>
  /** Forgets these records. A receipt of a record that is gone is no error. After a crash a deleted record may come again. */
  delete(receipts: readonly string[]): Promise<void>
  /** Records and bytes of bodies not yet deleted; a service may know them only roughly. */
  depth(): Promise<{ records: number; bytes: number }>
  close(): Promise<void>
}

export interface QueueRecord {
  /** Records of one group (a table) are received together where the queue can. At most 1,000 bytes. */
  group: string
  /** Small header of the sender: session, offsets, schema version. */
  header: Readonly<Record<string, string | number>>
  body: Uint8Array
}

export interface ReceivedRecord extends QueueRecord {
  receipt: string
}
