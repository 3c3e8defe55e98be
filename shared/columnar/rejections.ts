import type { Rejection } from './batch-writer.ts'
import { address, type Kernel } from './kernel.ts'
import { type SchemaNode, typeName } from './kernel-schema.ts'

/** The order is the one of kernel/state.ts. */
const rejectionCodes = [
  'malformed',
  'wrong_type',
  'out_of_range',
  'missing',
  'unknown_field',
  'too_deep',
  'too_large',
] as const

const kinds = [
  'nothing',
  'object',
  'array',
  'string',
  'number',
  'boolean',
  'null',
  'end of input',
  'invalid UTF-8',
  'unexpected byte',
  'number with a fraction',
  'more columns',
  'fewer columns',
  'deeper nesting',
  'larger record',
  'NaN or infinity',
  'escape',
] as const

const wanted: Partial<Record<Rejection['code'], string>> = {
  malformed: 'well-formed record',
  unknown_field: 'no such field',
  too_deep: 'at most 512 levels',
}

/** Reads what the kernel tells of a failed record into a `Rejection`. */
export function rejectionReader(kernel: Kernel, nodes: readonly SchemaNode[], maxRecordBytes: number) {
  return (
    record: number,
    start: number,
    end: number,
    nodeId: number,
    codeNumber: number,
    got: number,
    key: number,
    keyLength: number,
  ): Rejection => {
    const node = nodes[nodeId]!
    const code = rejectionCodes[codeNumber - 1]!
    const offset = kernel.inputBase() - address(kernel.inputAt())
    const unknown = code === 'unknown_field'
    const name = unknown ? Buffer.from(kernel.memory.buffer, address(key), keyLength).toString() : ''
    return {
      record,
      start: address(start) + offset,
      end: address(end) + offset,
      column: code === 'malformed' ? '' : unknown && node.path ? `${node.path}.${name}` : node.path + name,
      code,
      got: kinds[got]!,
      wanted: code === 'too_large' ? `at most ${maxRecordBytes} bytes` : (wanted[code] ?? typeName(node.type)),
    }
  }
}
