// Proxies of the system in front of an MCP server without a guard, configured as
// docs/forward-auth.md says.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { renameSync } from 'node:fs'
import http from 'node:http'
import { after, before, describe, test } from 'node:test'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { keyStore, leaks, serve } from './guarded.js'
import { ask, freePort, plainServer, proxies, until } from './proxied.js'

const bearer = key => ({ Authorization: `Bearer ${key}` })
const identity = ['x-mcpkeys-key-id', 'x-mcpkeys-key-name', 'x-mcpkeys-owner', 'x-mcpkeys-scopes', 'x-mcpkeys-audience']

for (const [name, startProxy] of Object.entries(proxies)) {
  describe(`${name} before a plain MCP server`, () => {
    let store, keyctl, behind, port, good
    const answers = [], running = []
    const through = async (...args) => {
      const answer = await ask(port, ...args)
      answers.push(answer)
      return answer
    }
    before(async () => {
      store = await keyStore()
      behind = await plainServer()
      keyctl = await serve(store.db, store.log, '--trusted-proxy', '127.0.0.1')
      running.push(keyctl.child)
      good = await store.issue('good', '--owner', 'Zoë', '--audience', 'weather', '--tool', 'get_*')
      port = await proxy()
    })
    after(() => {
      behind?.stop()
      running.forEach(process => process.kill('SIGKILL'))
    })

    // proxy starts one and returns its port. Settings follow ?audience=weather in its URL.
    async function proxy(settings = '', server = behind.port) {
      const port = await freePort()
      const process = startProxy(port, keyctl.port, server, settings)
      running.push(process)
      process.stderr.on('data', text => store.log.push(String(text)))
      process.on('error', error => { throw error })
      await until(() => process.exitCode === null ? ask(port, {}).then(() => true, () => false) : assert.fail(store.log.join('')))
      return port
    }

    // refused asks, and checks that nothing reached the server.
    async function refused(status, headers, options) {
      const before = behind.seen.length
      const answer = await through(headers, options)
      assert.equal(answer.status, status, answer.body)
      assert.equal(behind.seen.length, before)
      return answer
    }

    for (const [header, of] of Object.entries({ Authorization: bearer, 'X-API-Key': key => ({ 'X-API-Key': key }) })) {
      test(`a valid key in ${header} passes, and the server learns of the key but does not get it`, async () => {
        const forged = Object.fromEntries(identity.flatMap(h => [[h, 'forged'], [h.replaceAll('-', '_'), 'forged'], [h.replace('-Key', '_Key').replace(/-([^-]*)$/, '_$1'), 'forged'], [h.replace('-', '_'), 'forged']]))
        const { status } = await through({ ...of(good), ...forged, Host: 'mcp.example.com', 'X-Forwarded-Host': 'evil.example' })
        assert.equal(status, 200)
        const { headers } = behind.seen.at(-1)
        assert.match(headers['x-mcpkeys-key-id'], /^[0-9A-Za-z]{12}$/)
        assert.equal(headers['x-mcpkeys-key-name'], 'good')
        assert.equal(decodeURIComponent(headers['x-mcpkeys-owner']), 'Zoë')
        assert.equal(headers['x-mcpkeys-scopes'], 'tools:get_*')
        assert.equal(headers['x-mcpkeys-audience'], 'weather')
        assert.ok(!JSON.stringify(headers).includes('forged'), JSON.stringify(headers))
        assert.deepEqual(leaks(JSON.stringify(headers)), [])
      })
    }

    test('a key with many scopes passes', async () => {
      const tools = Array.from({ length: 100 }, (_, i) => ['--tool', `get_${'x'.repeat(36)}_${i}`]).flat()
      const { status, body } = await through(bearer(await store.issue('many', '--audience', 'weather', ...tools)))
      assert.equal(status, 200, body)
    })

    test('a key without an owner has none, also if the client names one', async () => {
      const key = await store.issue('unowned', '--audience', 'weather')
      assert.equal((await through({ ...bearer(key), 'X-Mcpkeys-Owner': 'forged' })).status, 200)
      assert.ok(!behind.seen.at(-1).headers['x-mcpkeys-owner'])
    })

    test('HEAD, DELETE and POST with a body arrive as they were', async () => {
      for (const method of ['HEAD', 'DELETE']) {
        const answer = await through(bearer(good), { method })
        assert.equal(answer.status, 200)
        assert.equal(answer.headers['x-behind'], 'yes')
        assert.equal(behind.seen.at(-1).method, method)
      }
      const body = 'x'.repeat(200_000)
      assert.equal((await through(bearer(good), { method: 'POST', body })).status, 200)
      assert.equal(behind.seen.at(-1).body, body)
    })

    test('a stream arrives event by event', async () => {
      const client = new Client({ name: 'e2e', version: '1' })
      await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/mcp`), { requestInit: { headers: bearer(good) } }))
      const progress = []
      const { content } = await client.callTool({ name: 'steps', arguments: {} }, undefined, {
        onprogress: step => { progress.push(step.progress); behind.next() }, // the second event exists only after the first one arrived
      })
      assert.equal(content[0].text, 'done')
      assert.deepEqual(progress, [1, 2])
      await client.close()

      const req = http.get({ host: '127.0.0.1', port, path: '/mcp?plain', headers: bearer(good) })
      const [stream] = await once(req, 'response')
      const chunks = []
      for await (const chunk of stream) {
        chunks.push(String(chunk))
        behind.next()
      }
      assert.deepEqual(chunks, ['data: 1\n\n', 'data: 2\n\n'])
    })

    test('no key, an invalid key, an admin key and a key for another server get 401 with a challenge', async () => {
      const admin = await store.issue('root', '--admin')
      const elsewhere = await store.issue('elsewhere', '--audience', 'maps', '--tool', '*')
      const last = good.at(-1) === 'x' ? 'y' : 'x'
      for (const headers of [{}, bearer(good.slice(0, -1) + last), bearer('junk'), bearer(admin), bearer(elsewhere)]) {
        for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS']) {
          const { headers: got } = await refused(401, headers, { method })
          assert.match(got['www-authenticate'], /^Bearer realm="mcpkeys"/)
        }
      }
    })

    test('two keys get 400', () => refused(400, { ...bearer(good), 'X-API-Key': good }))

    test('a key bound to an address is judged by the address of the client', async () => {
      const here = await store.issue('here', '--audience', 'weather', '--allow-ip', '127.0.0.1')
      const there = await store.issue('there', '--audience', 'weather', '--allow-ip', '192.0.2.7')
      assert.equal((await through(bearer(here))).status, 200)
      await refused(403, { ...bearer(there), 'X-Forwarded-For': '192.0.2.7' })
    })

    test('with a scope in the URL of the proxy, a key without it gets 403', async () => {
      const reader = await store.issue('reader', '--audience', 'weather', '--tool', 'get_*')
      const writer = await store.issue('writer', '--audience', 'weather', '--tool', 'set_*')
      const scoped = await proxy('&scope=tools:get_forecast')
      assert.equal((await ask(scoped, bearer(reader))).status, 200)
      const { status, headers } = await ask(scoped, bearer(writer))
      assert.equal(status, 403)
      assert.match(headers['www-authenticate'], /insufficient_scope/)
    })

    test('a limit reaches the client as 429 with Retry-After', async () => {
      const limited = await store.issue('limited', '--audience', 'weather', '--rate', '1/h')
      assert.equal((await through(bearer(limited))).status, 200)
      const { headers } = await refused(429, bearer(limited))
      assert.ok(Number(headers['retry-after']) > 0, JSON.stringify(headers))
    })

    test('a revoked key is refused at the next request', async () => {
      const key = await store.issue('leaver', '--audience', 'weather')
      assert.equal((await through(bearer(key))).status, 200)
      await store.keyctl('revoke', 'leaver', '--yes')
      await refused(401, bearer(key))
    })

    test('other paths lead nowhere', async () => {
      for (const path of ['/', '/keyctl', '/v1/keys', '/v1/forward-auth?audience=weather', '/mcp/../v1/keys']) await refused(404, bearer(good), { path })
    })

    test('keyctl doctor finds nothing wrong with the proxy', async () => {
      const server = await freePort()
      const scoped = await proxy('&scope=tools:get_forecast', server)
      const findings = JSON.parse(await store.keyctl('doctor', '--proxy', `http://127.0.0.1:${scoped}/mcp`, '--audience', 'weather',
        '--scope', 'tools:get_forecast', '--behind', `127.0.0.1:${server}`, '-o', 'json'))
      assert.deepEqual(findings.filter(f => f.state !== 'ok').map(f => f.check), ['outage'])
      assert.equal(findings.length, 22)
    })

    test('without the key store, and without keyctl serve, a client gets 503', async () => {
      renameSync(store.db, `${store.db}-away`)
      await until(async () => (await through(bearer(good))).status !== 200)
      assert.ok((await refused(503, bearer(good))).headers['retry-after'])
      renameSync(`${store.db}-away`, store.db)
      await until(async () => (await through(bearer(good))).status === 200)
      keyctl.child.kill('SIGKILL')
      await once(keyctl.child, 'exit')
      assert.ok((await refused(503, bearer(good))).headers['retry-after'])
    })

    test('no secret stands in a log or in an answer', () => assert.deepEqual(leaks(store.log.join('') + JSON.stringify(answers)), []))
  })
}
