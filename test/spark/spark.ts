import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { mavenPackage } from '../support/maven.ts'
import { pythonEnvironment } from '../support/python.ts'

export interface Spark {
  /** Runs Python with `spark` and `rows(sql)` in scope; gives what it leaves in `result`. Throws its error. */
  run(code: string): Promise<unknown>
  /** Runs statements of SQL, one after the other. */
  sql(...statements: string[]): Promise<void>
  close(): Promise<void>
}

/** Fetches Spark and Delta Lake on the first call. */
export function installSpark(): { python: string; jars: string } {
  return {
    jars: mavenPackage('delta-spark-4.0.0', 'io.delta:delta-spark_2.13:4.0.0'),
    python: join(pythonEnvironment('spark', 'pyspark==4.0.1\n'), 'python'),
  }
}

/** Starts a Spark of one process. It takes some seconds. */
export function startSpark(): Spark {
  const { python, jars } = installSpark()
  const child = spawn(python, [join(import.meta.dirname, 'spark.py'), jars], { stdio: ['pipe', 'pipe', 'pipe'] })
  const said: string[] = []
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk.toString()))
  const gone = once(child, 'exit')
  let answer: (line: string) => void = () => {}
  // Java prints what it likes beside the replies.
  createInterface({ input: child.stdout }).on('line', (line) => line.startsWith('> ') && answer(line.slice(2)))

  async function run(code: string): Promise<unknown> {
    const reply = new Promise<string>((resolve) => {
      answer = resolve
    })
    child.stdin.write(`${JSON.stringify(code)}\n`)
    const line = await Promise.race([reply, gone.then(() => undefined)])
    if (line === undefined) throw new Error(`Spark ended: ${said.join('').slice(-2000)}`)
    const { result, error } = JSON.parse(line)
    if (error) throw new Error(error)
    return result
  }
  return {
    run,
    async sql(...statements) {
      for (const statement of statements) await run(`spark.sql(${JSON.stringify(statement)}).collect()`)
    },
    async close() {
      child.stdin.end()
      await gone
      // Java, which Python started, holds the other ends a little longer.
      child.stdout.destroy()
      child.stderr.destroy()
    },
  }
}
