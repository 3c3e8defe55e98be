import { installSpark } from './spark.ts'

/** Jest's global setup: Spark is installed before the first test's clock runs. */
export default function setup(): void {
  installSpark()
}
