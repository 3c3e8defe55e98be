const MASK = '[redacted]'

/**
 * Knows every secret value of a process and takes it out of text. Each secret is also found in the forms it travels in:
 * inside JSON, in a URL, as base64. A secret shorter than four characters is masked only where it stands alone, so that
 * a password of `1` does not blank every number.
 */
export class Redactor {
  readonly #forms = new Set<string>()
  #pattern: RegExp | undefined

  add(secret: string): void {
    const trimmed = secret.trim()
    for (const form of trimmed ? formsOf(trimmed) : []) this.#forms.add(form)
    this.#pattern = undefined
  }

  /** The text with every known secret replaced. */
  text(text: string): string {
    if (this.#forms.size === 0) return text
    this.#pattern ??= patternOf(this.#forms)
    return text.replace(this.#pattern, MASK)
  }

  /** The same for every string inside a JSON value, keys left alone. */
  value<T>(value: T): T {
    if (typeof value === 'string') return this.text(value) as T
    if (Array.isArray(value)) return value.map((item) => this.value(item)) as T
    if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return value
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.value(item)])) as T
  }
}

function formsOf(secret: string): string[] {
  const lines = secret.includes('\n') ? secret.split('\n').filter((line) => line.trim().length >= 16) : []
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), base64(secret), ...lines]
}

/** Without padding and the last group, which change with what follows the secret. */
function base64(secret: string): string {
  const text = btoa(String.fromCharCode(...new TextEncoder().encode(secret)))
  return text.length > 8 ? text.slice(0, -4) : text
}

function patternOf(forms: ReadonlySet<string>): RegExp {
  const longestFirst = [...forms].sort((a, b) => b.length - a.length)
  const literally = (text: string) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
  const alone = (text: string) => `(?<![\\p{L}\\p{N}_])${literally(text)}(?![\\p{L}\\p{N}_])`
  return new RegExp(longestFirst.map((form) => (form.length < 4 ? alone(form) : literally(form))).join('|'), 'gu')
}
