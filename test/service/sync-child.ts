import { runSync, type SourceSync } from '../support/source-sync.ts'

// Runs the pipeline over and over until it is killed; now and then with a full refresh. Prints a line for each run.
const sync = JSON.parse(process.argv[2]!) as SourceSync
for (let n = 1; ; n++) {
  const run = await runSync(sync, {
    fullRefresh: Math.random() < 0.2 ? 'all' : 'none',
    settings: { commitIntervalMs: 50, fileBytes: 1 << 20 },
  })
  console.log(JSON.stringify({ n, state: run.state, errors: run.streams.map(({ error }) => error).filter(Boolean) }))
}
