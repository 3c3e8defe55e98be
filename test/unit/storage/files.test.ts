import { expect, test } from '@jest/globals'
import { fileError } from '../../../shared/storage/files.ts'

test.each([
  ['ENOSPC', 'storage.full', 'fix'],
  ['EDQUOT', 'storage.full', 'fix'],
  ['EFBIG', 'storage.full', 'fix'],
  ['EACCES', 'storage.permission_denied', 'fix'],
  ['EPERM', 'storage.permission_denied', 'fix'],
  ['EROFS', 'storage.permission_denied', 'fix'],
  ['ENAMETOOLONG', 'storage.path_invalid', 'fix'],
  ['ENOTDIR', 'storage.path_invalid', 'fix'],
  ['EIO', 'storage.unavailable', 'retry'],
  ['EMFILE', 'storage.unavailable', 'retry'],
])('%s of the file system is %s, remedy %s', (code, expected, remedy) => {
  const native = Object.assign(new Error(`${code}: something, write`), { code })

  const error = fileError(native, 'write "a/b"')

  expect(error).toMatchObject({ code: expected, remedy, cause: native })
  expect(error.message).toBe(`could not write "a/b": ${code}: something, write`)
})
