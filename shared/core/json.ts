/** Any JSON value. Cursors, checkpoints and stored state are of this type. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

/** JSON kept as the text it came as: the value of a variant where spaces, digits and the order of names matter. */
export class JsonText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  /** Inside other JSON it is the value it stands for. */
  toJSON(): unknown {
    return JSON.parse(this.text)
  }
}
