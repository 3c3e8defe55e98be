import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { IngestError } from '../../shared/core/errors.ts'

/** What is being sent, as the one who types the command again would say it. */
export interface SendInput {
  /** Of the server, when it is not the project's own. */
  url: string | undefined
  table: string
  /** The name of the send, or the path of its file. */
  name: string
  /** Of a file: another one of the same path is not the same input. */
  file: { sizeBytes: number; modifiedMs: number } | undefined
}

/** The session of a send, kept on disk until all of it is in the table: the same command goes on with it after a kill. */
export interface RememberedSend {
  /** Of an earlier send of this input that did not end. */
  session: string | undefined
  /** Before the first record is sent. */
  begin(session: string): Promise<void>
  end(): Promise<void>
}

const stored = z.object({
  session: z.string(),
  file: z.object({ sizeBytes: z.number(), modifiedMs: z.number() }).optional(),
})

/**
 * @param forget begin anew, whatever an earlier send left
 * @throws IngestError `usage.invalid` (fix) when the file has changed since a part of it was sent
 */
export async function rememberedSend(folder: string, input: SendInput, forget: boolean): Promise<RememberedSend> {
  const { url = '', table, name, file } = input
  const key = createHash('sha256')
    .update(JSON.stringify([url, table, name]))
    .digest('hex')
    .slice(0, 32)
  const path = join(folder, 'sends', `${key}.json`)
  const earlier = forget ? undefined : await readFile(path, 'utf8').catch(() => undefined)
  const known = earlier === undefined ? undefined : stored.parse(JSON.parse(earlier))
  if (known?.file && file && (known.file.sizeBytes !== file.sizeBytes || known.file.modifiedMs !== file.modifiedMs))
    throw new IngestError(
      'usage.invalid',
      `${name} has changed since an earlier send of it stopped in the middle; --again sends all of it, also what is in the table`,
    )
  return {
    session: known?.session,
    async begin(session) {
      await mkdir(join(folder, 'sends'), { recursive: true })
      {
        await using handle = await open(`${path}.new`, 'w')
        await handle.writeFile(JSON.stringify({ session, ...(file && { file }) }))
        await handle.sync()
      }
      await rename(`${path}.new`, path)
    },
    end: () => rm(path, { force: true }),
  }
}
