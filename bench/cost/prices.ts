/**
 * AWS's public list prices in us-east-1, in US dollars, without free tiers and discounts; read in November 2026. Each line
 * names the page it is from.
 */
export const prices = {
  // aws.amazon.com/lambda/pricing, arm64.
  lambdaGbSecond: 0.0000133334,
  lambdaRequest: 0.2 / 1e6,
  // aws.amazon.com/api-gateway/pricing: WebSocket messages in units of 32 KB in both directions, HTTP APIs in units of 512 KB.
  socketMessage: 1 / 1e6,
  httpRequest: 1 / 1e6,
  socketMinute: 0.25 / 1e6,
  // aws.amazon.com/sqs/pricing, standard queues: a request is 64 KB.
  sqsRequest: 0.4 / 1e6,
  sqsFifoRequest: 0.5 / 1e6,
  // aws.amazon.com/s3/pricing, Standard.
  s3Put: 5 / 1e6,
  s3Get: 0.4 / 1e6,
  // aws.amazon.com/dynamodb/pricing/on-demand: 1 KB written, 4 KB read consistently; a transaction counts twice.
  dynamodbWrite: 0.625 / 1e6,
  dynamodbRead: 0.125 / 1e6,
  // aws.amazon.com/step-functions/pricing, standard workflows.
  transition: 0.025 / 1000,
  // aws.amazon.com/cloudwatch/pricing: logs taken in. aws.amazon.com/xray/pricing: traces recorded.
  logGb: 0.5,
  trace: 5 / 1e6,
} as const

/** What the same gigabyte or million rows costs elsewhere, and where the figure is from. */
export const peers = {
  pushUsdPerGb: {
    Zerobus: { usd: 0.05, source: '0.143 DBU/GB at 0.35 USD, databricks.com/product/pricing' },
    'Data Firehose to Iceberg': { usd: 0.075, source: 'aws.amazon.com/firehose/pricing, first 250 TB' },
    'BigQuery Storage Write': { usd: 0.025, source: 'cloud.google.com/bigquery/pricing' },
  },
  pullUsdPerMillionRows: {
    Fivetran: {
      usd: 500,
      source: 'the first million monthly active rows of the Standard plan, as third parties report it',
    },
    'Airbyte Cloud': { usd: 15, source: 'rows of API sources at list price, as third parties report it' },
  },
} as const

/** What is paid by the month. Alarms are those of all stacks with one connector. */
export const monthly = { s3Gb: 0.023, alarm: 0.1, dashboard: 3, alarms: 20 } as const
