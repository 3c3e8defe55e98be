/** Any JSON value. Cursors, checkpoints and stored state are of this type. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }
