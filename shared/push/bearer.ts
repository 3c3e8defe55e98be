/** The WebSocket subprotocol. A bearer token travels beside it as `bearer.<base64url of the token>`. */
export const SUBPROTOCOL = 'lakeflow.zerobus.v1'

/**
 * The bearer token of a request: `Authorization: Bearer <token>`, or, since a browser cannot set that on a WebSocket, the
 * subprotocol `bearer.<base64url of the token>`. Names of headers may be in any case.
 */
export function bearerOf(headers: Readonly<Record<string, string | string[] | undefined>>): string | undefined {
  const headerOf = (wanted: string) =>
    String(Object.entries(headers).find(([name]) => name.toLowerCase() === wanted)?.[1] ?? '')
  const header = /^Bearer (.+)$/i.exec(headerOf('authorization'))?.[1]
  if (header) return header
  const offered = headerOf('sec-websocket-protocol').split(/\s*,\s*/)
  const encoded = offered.find((protocol) => protocol.startsWith('bearer.'))?.slice('bearer.'.length)
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64url').toString('utf8')
}
