// The rows that tests left, read from standard input, as the page docs/clients-tested.md.
import { readFileSync } from 'node:fs'

const pinned = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')).devDependencies
const versions = ['sdk', 'client', 'inspector', 'conformance', 'server-filesystem', 'server-everything']
const rows = new Map()
for (const line of readFileSync(0, 'utf8').trim().split('\n')) {
  const { client, server, transport, protocol, what } = JSON.parse(line)
  const cells = [client, server, transport, protocol].join(' | ')
  rows.set(cells, [...rows.get(cells) ?? [], what])
}
console.log(`# Clients run against keyctl guard

\`make e2e-all\` writes this page. Each row is a test that passed; what it checks is in e2e/guard.test.js and
e2e/conformance.test.js. The second file lists the results that differ from those without a guard, with the reasons.

The transport is the one between \`keyctl guard\` and the server; clients always use HTTP. The protocol is the version that
client and server agreed on. "SDK v2, whichever" asks for 2026-07-28 first.

Versions: ${versions.map(name => `@modelcontextprotocol/${name} ${pinned[`@modelcontextprotocol/${name}`]}`).join(', ')}.

| client | server | transport | protocol | result |
|---|---|---|---|---|`)
for (const [cells, results] of rows) console.log(`| ${cells} | ${results.join('; ')} |`)
