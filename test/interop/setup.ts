import { deltaRsPrograms } from './delta-rs.ts'

/** Jest's global setup: delta-rs is installed before the first test's clock runs. */
export default function setup(): void {
  deltaRsPrograms()
}
