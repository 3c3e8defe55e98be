import type { Random } from '../columnar/data.ts'

/** Latencies from Lambda in the region, in seconds: a log-normal body through a published median and 99th percentile. */
export interface Latency {
  p50: number
  p99: number
  /** One request in so many takes ten seconds (S3's own outliers). */
  outlier?: number
}

export const s3Put: Latency = { p50: 0.07, p99: 0.137, outlier: 20_000 }
export const s3Get: Latency = { p50: 0.027, p99: 0.1, outlier: 20_000 }
export const sqsSend: Latency = { p50: 0.01, p99: 0.05 }
export const dynamodb: Latency = { p50: 0.005, p99: 0.02 }

const Z99 = 2.326

export function sample({ p50, p99, outlier }: Latency, random: Random): number {
  if (outlier && random() < 1 / outlier) return 10
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  return p50 * Math.exp((Math.log(p99 / p50) / Z99) * normal)
}
