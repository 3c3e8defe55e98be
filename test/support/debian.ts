import { spawnSync } from 'node:child_process'

/**
 * Installs packages of Debian, after an update of their list when it is not known yet.
 *
 * @throws Error with what to install by hand, where this is not root on a Debian
 */
export function installPackages(...names: string[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const run = (words: string[]) => spawnSync('apt-get', words, { stdio: ['ignore', 2, 2], env }).status === 0
  const install = () => run(['install', '-y', '--no-install-recommends', ...names])
  if (install() || (run(['update']) && install())) return
  const what = names.join(' ')
  throw new Error(`these tests need ${what}, which could not be installed here: as root, apt-get install ${what}`)
}

/** Installs the package unless the command can be called. */
export function requireCommand(command: string, packageName: string): void {
  if (spawnSync('sh', ['-c', `command -v ${command}`]).status !== 0) installPackages(packageName)
}
