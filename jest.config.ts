import type { Config } from 'jest'

/** One project per folder of test/; the folder says what a test needs (docs/architecture.md, "Tests"). */
const folders = ['unit', 'contract', 'service', 'interop', 'aws', 'mysql', 'infra', 'rehearsal', 'browser', 'spark']

const config: Config = {
  // Of all projects: Jest ignores it inside one.
  testTimeout: 180_000,
  projects: folders.map((name) => ({
    displayName: name,
    testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
    extensionsToTreatAsEsm: ['.ts'],
    transform: {
      '\\.ts$': ['@swc/jest', { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' } }],
    },
    ...((name === 'service' || name === 'rehearsal') && {
      globalSetup: '<rootDir>/test/support/postgres-server.ts',
      globalTeardown: '<rootDir>/test/support/postgres-server-stop.ts',
    }),
    ...(name === 'mysql' && {
      globalSetup: '<rootDir>/test/mysql/setup.ts',
      globalTeardown: '<rootDir>/test/mysql/teardown.ts',
    }),
    ...(name === 'interop' && { globalSetup: '<rootDir>/test/interop/setup.ts' }),
    ...(name === 'spark' && { globalSetup: '<rootDir>/test/spark/setup.ts' }),
    // Each local package links into node_modules; its sources are the ones beside it.
    modulePathIgnorePatterns: ['<rootDir>/lakehouse'],
  })),
}

export default config
