import { IngestError } from '../core/errors.ts'

/** A cron expression, understood: the values each field allows, ascending. */
export interface Cron {
  seconds: readonly number[]
  minutes: readonly number[]
  hours: readonly number[]
  /** True for a date the expression allows. `weekday` is 0 for Sunday. */
  allowsDate(year: number, month: number, day: number, weekday: number): boolean
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

/**
 * Parses Quartz cron (six or seven fields: seconds first, weekdays 1-7 from Sunday, `?`, `L`, `LW`, `15W`, `6L`, `6#3`)
 * and Unix cron (five fields: weekdays 0-7 from Sunday; when both days are given, either is enough).
 *
 * @throws IngestError `config.invalid` (fix) naming the field
 */
export function parseCron(text: string): Cron {
  const fields = text.trim().toLowerCase().split(/\s+/)
  const unix = fields.length === 5
  if (!unix && fields.length !== 6 && fields.length !== 7)
    throw invalid(text, `it has ${fields.length} fields; Quartz cron has 6 or 7, Unix cron 5`)
  const [second, minute, hour, day, month, weekday, year = '*'] = unix ? ['0', ...fields] : fields
  const parse = (field: string, what: string, from: number, to: number, names?: readonly string[]) =>
    values(field, from, to, names ?? [], names === MONTHS ? 1 : 0, (problem) => invalid(text, `${what} ${problem}`))
  const months = new Set(parse(month!, 'month', 1, 12, MONTHS))
  const years = new Set(parse(year, 'year', 1970, 2199))
  const dayRule = dayOfMonth(day!, (field) => parse(field, 'day', 1, 31))
  const weekdayRule = dayOfWeek(weekday!, unix, (field) =>
    parse(unix ? field : quartzWeekdays(field), 'weekday', 0, 7, WEEKDAYS).map((value) => value % 7),
  )
  const either = unix && !isAny(day!) && !isAny(weekday!)
  return {
    seconds: parse(second!, 'second', 0, 59),
    minutes: parse(minute!, 'minute', 0, 59),
    hours: parse(hour!, 'hour', 0, 23),
    allowsDate(y, m, d, w) {
      if (!years.has(y) || !months.has(m)) return false
      const byDay = dayRule(y, m, d, w)
      const byWeekday = weekdayRule(y, m, d, w)
      return either ? byDay || byWeekday : byDay && byWeekday
    },
  }
}

type DateRule = (year: number, month: number, day: number, weekday: number) => boolean

const isAny = (field: string) => field === '*' || field === '?'
const lastDay = (year: number, month: number) => new Date(Date.UTC(year, month, 0)).getUTCDate()

function dayOfMonth(field: string, parse: (field: string) => number[]): DateRule {
  if (isAny(field)) return () => true
  if (field === 'l') return (y, m, d) => d === lastDay(y, m)
  if (field === 'lw') return (y, m, d) => d === nearestWorkday(y, m, lastDay(y, m))
  const workday = /^(\d{1,2})w$/.exec(field)
  if (workday) return (y, m, d) => d === nearestWorkday(y, m, Math.min(Number(workday[1]), lastDay(y, m)))
  const days = new Set(parse(field))
  return (_y, _m, d) => days.has(d)
}

function dayOfWeek(field: string, unix: boolean, parse: (field: string) => number[]): DateRule {
  if (isAny(field)) return () => true
  const special = unix ? undefined : /^(\w+?)(?:#([1-5])|(l))$/.exec(field)
  if (special) {
    const wanted = parse(special[1]!)[0]!
    const nth = special[2]
    return (y, m, d, w) => w === wanted && (nth ? Math.ceil(d / 7) === Number(nth) : d + 7 > lastDay(y, m))
  }
  const days = new Set(parse(field === 'l' ? (unix ? '6' : '7') : field))
  return (_y, _m, _d, w) => days.has(w)
}

/** Quartz counts Sunday as 1. Steps and names stay as they are. */
function quartzWeekdays(field: string): string {
  return field
    .split(',')
    .map((part) => {
      const [range, step] = part.split('/')
      const shifted = range!.replace(/\d+/g, (digits) => String(Number(digits) - 1))
      return step === undefined ? shifted : `${shifted}/${step}`
    })
    .join(',')
}

function nearestWorkday(year: number, month: number, day: number): number {
  const weekday = new Date(Date.UTC(year, month - 1, day)).getUTCDay()
  if (weekday === 6) return day > 1 ? day - 1 : day + 2
  if (weekday === 0) return day < lastDay(year, month) ? day + 1 : day - 2
  return day
}

function values(
  field: string,
  from: number,
  to: number,
  names: readonly string[],
  firstName: number,
  problem: (text: string) => IngestError,
): number[] {
  const number = (text: string) => {
    const named = names.indexOf(text.slice(0, 3))
    const value = named >= 0 && /^[a-z]+$/.test(text) ? named + firstName : Number(text)
    if (!/^(\d+|[a-z]+)$/.test(text) || Number.isNaN(value) || value < from || value > to)
      throw problem(`${text} is not in ${from}-${to}`)
    return value
  }
  const allowed = new Set<number>()
  for (const part of field.split(',')) {
    const [range, step, ...rest] = part.split('/')
    const by = step === undefined ? 1 : Number(step)
    if (rest.length > 0 || !Number.isInteger(by) || by < 1) throw problem(`step ${part} is not understood`)
    const [low, high] = range === '*' || range === '?' ? [from, to] : ends(range!, number)
    const end = high ?? (step === undefined ? low : to)
    for (let value = low; value <= (end >= low ? end : end + (to - from + 1)); value += by)
      allowed.add(value > to ? value - (to - from + 1) : value)
  }
  return [...allowed].sort((a, b) => a - b)
}

function ends(range: string, number: (text: string) => number): [number, number | undefined] {
  const [low, high] = range.split('-')
  return [number(low!), high === undefined ? undefined : number(high)]
}

const invalid = (text: string, problem: string) =>
  new IngestError('config.invalid', `the cron expression ${text} is not understood: ${problem}`)
