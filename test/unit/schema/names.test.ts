import { expect, test } from '@jest/globals'
import { checkNames, findField } from '../../../shared/schema/names.ts'
import { column } from '../../support/delta.ts'

test('names that differ only in case are refused, also inside structs', () => {
  const inner = column('address', { kind: 'struct', fields: [column('City'), column('city')] })

  expect(() => checkNames({ fields: [column('id'), column('ID')] })).toThrow('id and ID differ only in case')
  expect(() => checkNames({ fields: [inner] })).toThrow('address.City and address.city differ only in case')
  expect(() => checkNames({ fields: [column('')] })).toThrow('has no name')
})

test('a column is found ignoring case, and by its exact name first', () => {
  const fields = [column('ID'), column('id')]

  expect(findField(fields, 'id')).toBe(fields[1])
  expect(findField(fields, 'Id')).toBe(fields[0])
  expect(findField(fields, 'other')).toBeUndefined()
})
