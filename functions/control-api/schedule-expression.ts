import { IngestError } from '../../shared/core/errors.ts'
import type { PipelineSpec } from '../../shared/pipeline/spec.ts'

export interface ScheduleExpression {
  expression: string
  timeZone: string
}

/**
 * A pipeline's schedule as EventBridge Scheduler wants it: `cron(0/15 * * * ? *)`, `rate(5 minutes)`. Undefined: only
 * when asked, or paused. A cron's seconds are dropped when they are 0, as EventBridge counts in minutes.
 *
 * @throws IngestError `config.invalid` (fix) for what EventBridge cannot express
 */
export function scheduleExpression(pipeline: PipelineSpec): ScheduleExpression | undefined {
  const { schedule, trigger } = pipeline
  if (schedule?.pause_status === 'PAUSED' || trigger?.pause_status === 'PAUSED') return undefined
  if (schedule) return cron(schedule.quartz_cron_expression, schedule.timezone_id)
  if (trigger?.cron) return cron(trigger.cron.quartz_cron_schedule, trigger.cron.timezone_id)
  if (!trigger?.periodic) return undefined
  const { interval, unit } = trigger.periodic
  if (unit === 'SECONDS') throw invalid(`${interval} seconds`, 'schedules in AWS count in minutes')
  const [amount, word] = unit === 'WEEKS' ? [interval * 7, 'days'] : [interval, unit.toLowerCase()]
  return { expression: `rate(${amount} ${amount === 1 ? word!.slice(0, -1) : word})`, timeZone: 'UTC' }
}

function cron(text: string, timeZone = 'UTC'): ScheduleExpression {
  const fields = text.trim().split(/\s+/)
  const unix = fields.length === 5
  const [second, minute, hour, day, month, weekday, year = '*'] = unix ? ['0', ...fields] : fields
  if (second !== '0') throw invalid(text, 'schedules in AWS count in minutes; the field of seconds must be 0')
  const anyDay = isAny(day!)
  const anyWeekday = isAny(weekday!)
  if (!anyDay && !anyWeekday) throw invalid(text, 'schedules in AWS take a day of the month or of the week, not both')
  // Exactly one of the two must be a question mark.
  const days = anyWeekday ? [anyDay ? '*' : day, '?'] : ['?', unix ? fromUnixWeekdays(weekday!) : weekday]
  return { expression: `cron(${[minute, hour, days[0], month, days[1], year].join(' ')})`, timeZone }
}

const isAny = (field: string) => field === '*' || field === '?'

/** Unix counts weekdays 0-7 from Sunday, EventBridge 1-7. Steps stay as they are. */
const fromUnixWeekdays = (field: string) =>
  field.replace(/(^|[,-])(\d)/g, (_, before: string, digit: string) => `${before}${(Number(digit) % 7) + 1}`)

const invalid = (text: string, problem: string) =>
  new IngestError('config.invalid', `the schedule ${text} cannot run in AWS: ${problem}`)
