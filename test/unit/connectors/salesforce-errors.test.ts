import { expect, test } from '@jest/globals'
import { expired, translate, translateJob } from '../../../shared/connectors/salesforce/errors.ts'

/** Bodies as the vendor's documentation and its users show them. */
const cases = [
  [401, 'INVALID_SESSION_ID', 'Session expired or invalid', 'source.auth_rejected'],
  [403, 'REQUEST_LIMIT_EXCEEDED', 'TotalRequests Limit exceeded.', 'source.quota_spent'],
  [403, 'REQUEST_LIMIT_EXCEEDED', 'ConcurrentPerOrgLongTxn Limit exceeded: concurrent requests', 'source.throttled'],
  [400, 'MALFORMED_QUERY', "unexpected token: 'FORM'", 'config.invalid'],
  [400, 'INVALID_FIELD', "No such column 'Foo__c' on entity 'Account'.", 'source.object_missing'],
  [400, 'INVALID_TYPE', "sObject type 'Acount' is not supported.", 'source.object_missing'],
  [400, 'QUERY_TIMEOUT', 'Your query request was running for too long.', 'source.unavailable'],
  [400, 'OPERATION_TOO_LARGE', "exceeded 100000 distinct who/what's", 'source.permission_denied'],
  [400, 'UNABLE_TO_LOCK_ROW', 'unable to obtain exclusive access to this record', 'source.unavailable'],
  [403, 'API_CURRENTLY_DISABLED', 'API is not enabled for this User', 'source.permission_denied'],
  [503, 'SERVER_UNAVAILABLE', 'Server temporarily unavailable', 'source.unavailable'],
  [400, 'INVALID_QUERY_LOCATOR', 'invalid query locator', 'source.unavailable'],
  [400, 'EXCEEDEDQUOTA', 'ApiQueryJobs exceeded', 'source.quota_spent'],
  [500, 'SOMETHING_NEW', 'an unexpected error occurred', 'source.unavailable'],
  [400, 'SOMETHING_NEW', 'not known yet', 'source.protocol_violation'],
] as const

test.each(cases)('%d %s: %s', (status, errorCode, message, code) => {
  const error = translate({
    doing: 'read Account',
    status,
    headers: new Headers(),
    body: JSON.stringify([{ message, errorCode }]),
  })

  expect(error).toMatchObject({ code, cause: { errorCode } })
  expect(error!.message).toContain(`read Account: ${message} (${errorCode})`)
})

test.each([
  ['invalid_grant', 'expired access/refresh token', 'source.auth_rejected'],
  ['invalid_client', 'invalid client credentials', 'source.auth_rejected'],
  ['unsupported_grant_type', 'grant type not supported', 'source.auth_rejected'],
  ['rate_limit_exceeded', 'login rate exceeded', 'source.throttled'],
])('the token endpoint: %s', (error, error_description, code) => {
  const body = JSON.stringify({ error, error_description })

  expect(translate({ doing: 'sign in', status: 400, headers: new Headers(), body })).toMatchObject({ code })
})

test('what is not the vendor’s own is left to its status, and an expired token is told from other refusals', () => {
  const refusal = (status: number, body: string) => ({ doing: 'read', status, headers: new Headers(), body })

  expect(translate(refusal(502, '<html>Bad Gateway</html>'))).toBeUndefined()
  expect(expired(refusal(403, '[{"errorCode":"INVALID_SESSION_ID"}]'))).toBe(true)
  expect(expired(refusal(403, '[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]'))).toBe(false)
})

test.each([414, 431])('a query that is too long (%d) says what to shorten', (status) => {
  const body = '<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>'

  expect(translate({ doing: 'count Account', status, headers: new Headers(), body })).toMatchObject({
    code: 'config.invalid',
    message: expect.stringContaining('row_filter'),
  })
})

test.each([
  ["InvalidBatch : Failed to process query: INVALID_FIELD: No such column 'Foo__c'", 'source.object_missing'],
  ['QUERY_TIMEOUT: Your query request was running for too long.', 'source.unavailable'],
  ['ExceededQuota : the job exceeds the number allowed', 'source.quota_spent'],
  ['InternalServerError : retried more than 15 times', 'source.unavailable'],
  [undefined, 'source.unavailable'],
])('a bulk job that ended with %s', (errorMessage, code) => {
  const error = translateJob('read Account', { id: '750x', state: 'Failed', errorMessage })

  expect(error).toMatchObject({ code })
  expect(error.message).toContain(`the bulk job 750x ended as Failed${errorMessage ? `: ${errorMessage}` : ''}`)
})
