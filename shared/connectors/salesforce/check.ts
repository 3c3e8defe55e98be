import * as z from 'zod'
import type { CheckResult } from '../../connector/connector.ts'
import { discoverNames } from './describe.ts'
import type { Org } from './org.ts'

const Limit = z.looseObject({ Max: z.number(), Remaining: z.number() })
const Limits = z.looseObject({ DailyApiRequests: Limit, DailyBulkV2QueryJobs: Limit.optional() })

/** A version is kept for three years at least, which are nine releases. */
const SAFE_RELEASES = 9

/** What a connection needs, and how much of the org's quota is left. Signing in fails as an error of its own. */
export async function check(org: Org): Promise<readonly CheckResult[]> {
  const { instanceUrl } = await org.tokens.get()
  const version = await checkVersion(org)
  const signedIn = { requirement: 'the org lets us in', met: true, detail: `signed in to ${instanceUrl}` }
  if (!version.met && !version.advice) return [signedIn, version]
  const limits = await org.client.json({ doing: 'read the limits', path: org.path('/limits') }, Limits)
  const names = await discoverNames(org)
  return [
    signedIn,
    version,
    {
      requirement: 'API calls are left',
      met: limits.DailyApiRequests.Remaining > limits.DailyApiRequests.Max * (1 - org.config.max_api_usage),
      detail: left(
        'API calls',
        limits.DailyApiRequests,
        `reading stops at ${org.config.max_api_usage * 100} % of them`,
      ),
    },
    ...(limits.DailyBulkV2QueryJobs
      ? [
          {
            requirement: 'bulk jobs are left',
            met: limits.DailyBulkV2QueryJobs.Remaining > 0,
            detail: left('bulk query jobs', limits.DailyBulkV2QueryJobs, 'large objects need them'),
          },
        ]
      : []),
    {
      requirement: 'objects can be read',
      met: names.length > 0,
      detail:
        names.length > 0 ? `${names.length} objects` : 'the user may read no object: grant Read in a permission set',
    },
  ]
}

async function checkVersion(org: Org): Promise<CheckResult> {
  const requirement = 'the API version is supported'
  const versions = await org.versions()
  const pinned = Number(org.config.api_version)
  const newest = versions.at(-1) ?? pinned
  if (!versions.includes(pinned))
    return {
      requirement,
      met: false,
      detail: `the org has ${versions[0]}.0 to ${newest}.0, not ${org.config.api_version}: set api_version: ${newest}.0`,
    }
  const old = newest - pinned >= SAFE_RELEASES
  return {
    requirement,
    met: !old && org.warning === undefined,
    advice: true,
    detail: org.warning
      ? `${org.config.api_version}: the org warns: ${org.warning}`
      : old
        ? `${org.config.api_version} is ${newest - pinned} releases old and may be retired: try api_version: ${newest}.0`
        : `${org.config.api_version}; the newest is ${newest}.0`,
  }
}

const left = (what: string, { Max, Remaining }: { Max: number; Remaining: number }, note: string) =>
  `${Remaining} of ${Max} ${what} are left today; ${note}`
