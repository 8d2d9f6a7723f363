// The official conformance suite against the Go SDK's server for it: called directly, and behind
// keyctl guard over HTTP and over stdio. Results that differ are known, with the reason.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { account, all, dir, env, guarded, start, tested } from './guarded.js'
import { freePort, until } from './proxied.js'

const suite = fileURLToPath(new URL('node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url))
const { version } = JSON.parse(readFileSync(new URL('node_modules/@modelcontextprotocol/conformance/package.json', import.meta.url), 'utf8'))
const program = join(process.env.E2E_BIN, 'everything-server')

// results runs the suite and returns {'SCENARIO CHECK': statuses}.
async function results(url, era) {
  const output = mkdtempSync(join(dir, 'conformance-'))
  const { stdout } = await new Promise(resolve => execFile(process.execPath, [suite, 'server', '--url', url, '--requirements', era, '-o', output],
    { env, timeout: 120_000, maxBuffer: 1 << 26 }, (error, stdout) => resolve({ error, stdout })))
  assert.match(stdout, /^=== SUMMARY ===$/m)
  const found = {}
  for (const folder of readdirSync(output).sort()) {
    const scenario = folder.match(/^server-(.*)-\d{4}-\d\d-\d\dT/)[1]
    const file = join(output, folder, 'checks.json')
    const checks = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [{ id: '(none)', status: 'ERROR' }] // a scenario that broke off
    for (const { id, status } of checks) (found[`${scenario} ${id}`] ??= []).push(status)
  }
  return found
}

const successes = results => Object.values(results).flat().filter(status => status === 'SUCCESS').length

// differences lists the checks that have other results.
const differences = (direct, guarded) => [...new Set([...Object.keys(direct), ...Object.keys(guarded)])].sort()
  .map(check => `${check}: ${direct[check] ?? '-'} -> ${guarded[check] ?? '-'}`)
  .filter(line => !/: (.*) -> \1$/.test(line))

// withKey is a server that adds a key to each request and hands it on to a guard.
async function withKey(to, key) {
  const server = http.createServer((req, res) => {
    const onward = http.request(to, { method: req.method, headers: { ...req.headers, authorization: `Bearer ${key}` } }, answer => {
      res.writeHead(answer.statusCode, answer.headers)
      res.flushHeaders()
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    res.on('close', () => onward.destroy())
    req.pipe(onward)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}/mcp`,
    stop: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

// Lists are edited, so the guard answers them as JSON and not as a stream.
const lists = ['server-sse-multiple-streams server-sse-streams-functional: SUCCESS -> INFO']


// known are the differences that there are, by era and transport. A test fails also if one of
// them is gone: then remove it here.
const known = {
  '2025-11-25 HTTP': lists,
  '2025-11-25 stdio': [
    ...lists,
    // An answer with nothing before it is JSON, and streams have no event ids (docs/guard.md).
    'server-sse-polling server-sse-content-type: - -> INFO',
    'server-sse-polling server-sse-disconnect-resume: INFO -> -',
    'server-sse-polling server-sse-priming-event: WARNING -> -',
    'server-sse-polling server-sse-retry-field: SUCCESS -> -',
    'server-sse-polling stream-closed: INFO -> -',
  ],
  '2026-07-28 HTTP': lists,
  '2026-07-28 stdio': [
    ...lists,
    // Mcp-Param-* is not checked (docs/guard.md).
    'http-custom-header-server-validation sep-2243-server-reject-invalid-param-chars: SUCCESS,SUCCESS -> FAILURE,FAILURE',
    'http-custom-header-server-validation sep-2243-server-reject-param-mismatch: SUCCESS,SUCCESS,SUCCESS -> FAILURE,FAILURE,FAILURE',
    'http-custom-header-server-validation sep-2243-server-validate-param-match: SUCCESS,SUCCESS,SUCCESS -> SUCCESS,SUCCESS,FAILURE',
    // Behind the guard the program has both eras, so initialize is answered: 200 with its error.
    'server-stateless sep-2575-http-server-method-not-found-404-initialize: SUCCESS -> FAILURE',
    // The version of header and message is compared first, and gets another code.
    'server-stateless sep-2575-request-meta-invalid-missing-meta: SUCCESS -> FAILURE',
    'server-stateless sep-2575-request-meta-invalid-missing-protocol-version: SUCCESS -> FAILURE',
  ],
}

// passed is how many checks succeed without a guard. This server has sessions, for the older era,
// only if it is told so. make e2e runs the older era, make e2e-all both.
for (const [era, { stateless, passed }] of Object.entries({
  '2025-11-25': { stateless: false, passed: 82 },
  ...all && { '2026-07-28': { stateless: true, passed: 165 } },
})) {
  describe(`conformance, ${era}`, () => {
    let direct, behind, unguarded
    after(() => unguarded?.kill())
    test('without a guard', async () => {
      const port = await freePort()
      behind = `http://127.0.0.1:${port}/mcp`
      unguarded = start(program, '-http', `127.0.0.1:${port}`, `-stateless=${stateless}`)
      await until(() => fetch(behind).then(() => true, () => false))
      direct = await results(behind, era)
      assert.equal(successes(direct), passed)
    })

    for (const [name, guard] of Object.entries({
      HTTP: () => ['--upstream', behind],
      stdio: () => [...account, '--', program],
    })) {
      test(`behind keyctl guard over ${name}`, async t => {
        const server = await guarded({ audience: 'everything', guard: guard() })
        t.after(() => server.stop())
        const key = await server.issue('suite', '--audience', 'everything', '--tool', '*', '--prompt', '*', '--resource', '*')
        const proxy = await withKey(server.url, key)
        t.after(() => proxy.stop())
        const found = await results(proxy.url, era)
        const differ = differences(direct, found)
        assert.deepEqual(differ, known[`${era} ${name}`].toSorted())
        assert.deepEqual(server.leaks(), [])
        tested(`conformance suite ${version}`, "Go SDK's conformance server", name, era,
          `${successes(found)} checks succeed, ${passed} without a guard; results that differ: ${differ.length}`)
      })
    }
  })
}
