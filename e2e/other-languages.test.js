// The recipes of docs/other-languages.md for the TypeScript SDKs, cut out of the page and run:
// an MCP server that asks keyctl serve about each key, with a recorder between the two.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as v2 from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { recipe } from './guarded.js'

const me = { name: 'mcpkeys-e2e', version: '1.0.0' }
const v1 = { Client, StreamableHTTPClientTransport }

// replaced is a text with one part in another form.
function replaced(text, part, by) {
  assert.equal(text.split(part).length, 2, `${part} must be once in the recipe`)
  return text.replace(part, () => by)
}

// The blocks of the page's section, in its order.
const blocks = { 'SDK v2': [0, 2, 3], 'SDK v1': [1, 2, 4] }

for (const [serverName, parts] of Object.entries(blocks)) {
  for (const [clientName, sdk, options] of [['SDK v1', v1], ['SDK v2', v2, { versionNegotiation: { mode: 'auto' } }]]) {
    describe(`a server of ${serverName}, a client of ${clientName}`, () => {
      let server
      before(async () => { server = await recipe('TypeScript SDK', parts, 'weather') })
      after(() => server?.stop())

      async function connect(key) {
        const client = new sdk.Client(me, options)
        const headers = key ? { Authorization: `Bearer ${key}` } : {}
        await client.connect(new sdk.StreamableHTTPClientTransport(server.url, { requestInit: { headers } }))
        return client
      }
      const tools = async client => (await client.listTools()).tools.map(t => t.name).sort()
      // post is one request, without a client.
      const post = async (key, method = 'tools/list', params = {}) => {
        const answer = await fetch(server.url, {
          method: 'POST',
          headers: { ...(key && { Authorization: `Bearer ${key}` }), 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' },
          body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
        })
        return { status: answer.status, wait: Number(answer.headers.get('Retry-After')), body: await answer.text() }
      }
      const refused = async key => {
        await assert.rejects(connect(key))
        return (await post(key)).status
      }

      test('a list and a call are one question each, counted once', async () => {
        const key = await server.issue('counted', '--audience', 'weather', '--tool', 'get_*', '--rate', '100/24h')
        const asked = [{ first: server.exchanges.length, left: 100 }]
        for (const [method, params, shown] of [
          ['tools/list', {}, '"get_stations"'],
          ['tools/call', { name: 'get_forecast', arguments: {} }, 'sunny'],
        ]) {
          const { status, body } = await post(key, method, params)
          assert.equal(status, 200)
          assert.ok(body.includes(shown) && !body.includes('set_alarm'), body)
          const before = asked.at(-1)
          assert.equal(server.exchanges.length, before.first + 1, `questions for ${method}`)
          const { remaining } = JSON.parse(server.exchanges.at(-1).body).rate_limit
          assert.equal(remaining, before.left - 1)
          asked.push({ first: server.exchanges.length, left: remaining })
        }
      })

      test('a key that never expires sees and calls what it was granted, and nothing else', async t => {
        const client = await connect(await server.issue('granted', '--audience', 'weather', '--tool', 'get_*', '--expires', 'never'))
        t.after(() => client.close())

        assert.deepEqual(await tools(client), ['get_forecast', 'get_stations'])
        const result = await client.callTool({ name: 'get_forecast', arguments: {} })
        assert.equal(result.content[0].text, 'sunny')

        for (const name of ['set_alarm', 'no_alarm']) {
          const denied = await client.callTool({ name, arguments: {} }).then(r => r.isError && r.content[0].text, e => e.message)
          assert.match(denied, new RegExp(`${name} not found`))
        }
      })

      test('a key without a tool of this server sees an empty list', async t => {
        const client = await connect(await server.issue('narrow', '--audience', 'weather', '--tool', 'other'))
        t.after(() => client.close())
        assert.deepEqual(await tools(client), [])
      })

      test('a revoked key is refused with the next request', async t => {
        const key = await server.issue('gone', '--audience', 'weather', '--tool', '*')
        const client = await connect(key)
        t.after(() => client.close())
        assert.equal((await tools(client)).length, 3)
        await server.keyctl('revoke', 'gone', '--yes')
        await assert.rejects(client.listTools())
        assert.equal(await refused(key), 401)
      })

      test('bad keys are refused with 401', async () => {
        for (const key of [
          '', 'mcpk_nonsense',
          await server.issue('billing', '--audience', 'billing', '--tool', '*'),
          await server.issue('root', '--admin'),
        ]) assert.equal(await refused(key), 401)
      })

      test('a limit is 429 with Retry-After', async () => {
        const key = await server.issue('slow', '--audience', 'weather', '--tool', '*', '--rate', '1/1h')
        assert.notEqual((await post(key)).status, 429)
        const limited = await post(key)
        assert.deepEqual([limited.status, limited.wait > 0], [429, true])
      })

      test('without keyctl serve each key gets 503, and no secret is in a log', async () => {
        const key = await server.issue('late', '--audience', 'weather', '--tool', '*')
        await server.endKeys()
        assert.equal(await refused(key), 503)
        assert.deepEqual(server.leaks(), [])
      })
    })
  }
}

// The block that keeps answers, and what the page says to change. Tools may have any name.
const odd = 'moon: phase (~100%*) ö'
for (const [serverName, parts] of Object.entries({ 'SDK v2': [0, 2, 5, 3], 'SDK v1': [1, 2, 5, 4] })) {
  describe(`a server of ${serverName} that keeps answers and has tools with odd names`, () => {
    let server
    before(async () => {
      server = await recipe('TypeScript SDK', parts, 'weather', text => replaced(replaced(text,
        'await verify(token, req)', 'await kept(token, req)'),
      '  set_alarm: {', `  ${JSON.stringify(odd)}: { description: 'The moon', run: () => 'full' },\n  set_alarm: {`))
    })
    after(() => server?.stop())
    const post = async (key, method = 'tools/list', params = {}) => {
      const answer = await fetch(server.url, {
        method: 'POST',
        headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      })
      return { status: answer.status, body: await answer.text() }
    }
    // questions is how many questions keyctl serve got during do.
    const questions = async act => {
      const before = server.exchanges.length
      await act()
      return server.exchanges.length - before
    }

    test('a tool with an odd name is granted by its name', async () => {
      const one = await server.issue('odd', '--audience', 'weather', '--tool', odd)
      const { body } = await post(one)
      assert.ok(body.includes(JSON.stringify(odd)) && !body.includes('set_alarm'), body)
      assert.match((await post(one, 'tools/call', { name: odd, arguments: {} })).body, /full/)
      const other = await server.issue('even', '--audience', 'weather', '--tool', 'get_*')
      assert.ok(!(await post(other)).body.includes('moon'))
      assert.doesNotMatch((await post(other, 'tools/call', { name: odd, arguments: {} })).body, /full/)
    })

    test('a valid answer is kept, for its own key', async () => {
      const key = await server.issue('kept', '--audience', 'weather', '--tool', '*')
      assert.equal(await questions(async () => {
        for (let i = 0; i < 3; i++) assert.equal((await post(key)).status, 200)
      }), 1)
      const narrow = await server.issue('narrow', '--audience', 'weather', '--tool', 'get_*')
      assert.equal(await questions(async () => assert.ok(!(await post(narrow)).body.includes('set_alarm'))), 1)
      await server.keyctl('revoke', 'kept', '--yes')
      assert.equal(await questions(async () => assert.equal((await post(key)).status, 200)), 0, 'as the page says, until the kept answer ends')
    })

    test('a kept answer ends when lease_expires_at says', async () => {
      const key = await server.issue('short', '--audience', 'weather', '--tool', '*', '--expires', '4s')
      assert.equal((await post(key)).status, 200)
      const { key: { expires_at }, lease_expires_at } = JSON.parse(server.exchanges.at(-1).body)
      assert.equal(Date.parse(lease_expires_at), Date.parse(expires_at))
      let status
      assert.equal(await questions(async () => {
        do ({ status } = await post(key)); while (status === 200)
      }), 1)
      assert.equal(status, 401)
    })

    test('other answers are not kept', async () => {
      assert.equal(await questions(async () => {
        for (let i = 0; i < 2; i++) assert.equal((await post('mcpk_nonsense')).status, 401)
      }), 2)
      assert.deepEqual(server.leaks(), [])
    })
  })
}
