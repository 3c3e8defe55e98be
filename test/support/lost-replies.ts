/** A client of the AWS SDK, of what this needs. */
interface Client {
  middlewareStack: { add(middleware: never, options: { step: 'deserialize'; name: string; override: true }): void }
}

/**
 * The next request of this command takes effect, but its reply is lost on the way, as when a connection breaks: the SDK
 * sends the same request again by itself.
 */
export function loseNextReply(client: Client, commandName: string): void {
  let lost = false
  const middleware =
    (next: (args: unknown) => Promise<unknown>, context: { commandName: string }) => async (args: unknown) => {
      const reply = await next(args)
      if (lost || context.commandName !== commandName) return reply
      lost = true
      throw Object.assign(new Error('injected: the connection broke'), { name: 'TimeoutError', code: 'ECONNRESET' })
    }
  client.middlewareStack.add(middleware as never, { step: 'deserialize', name: `lose ${commandName}`, override: true })
}
