// The TypeScript SDKs, old and new, with a key in a static header: what MCP clients
// in that language are made of. Everything here holds for every client and header.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as v2 from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { guarded } from './guarded.js'

const me = { name: 'mcpkeys-e2e', version: '1.0.0' }
const v1 = { Client, StreamableHTTPClientTransport }

const clients = {
  'SDK v1': { sdk: v1, sessions: true },
  'SDK v2, 2025-11-25': { sdk: v2, sessions: true, negotiate: 'legacy' },
  'SDK v2, 2026-07-28': { sdk: v2, sessions: false, negotiate: { pin: '2026-07-28' } },
  'SDK v2, whichever': { sdk: v2, sessions: false, negotiate: 'auto' },
}

const headers = {
  'Authorization: Bearer': key => ({ Authorization: `Bearer ${key}` }),
  'X-API-Key': key => ({ 'X-API-Key': key }),
}

for (const [clientName, { sdk, sessions, negotiate }] of Object.entries(clients)) {
  for (const [headerName, header] of Object.entries(headers)) {
    describe(`${clientName} with ${headerName}`, () => {
      let server
      before(async () => { server = await guarded({ audience: 'weather' }) })
      after(() => server?.stop())

      // connect opens a client whose requests carry headers.
      async function connect(headers, options) {
        const client = new sdk.Client(me, negotiate && { versionNegotiation: { mode: negotiate } })
        await client.connect(new sdk.StreamableHTTPClientTransport(server.url, { requestInit: { headers }, ...options }))
        return client
      }

      test('a good key sees and does what it was granted', async t => {
        const key = await server.issue('granted', '--audience', 'weather', '--tool', '*et_*', '--prompt', 'briefing', '--resource', 'weather://*')
        const client = await connect(header(key))
        t.after(() => client.close())

        assert.deepEqual(names((await client.listTools()).tools), ['get_feels_like', 'get_forecast', 'get_stations', 'set_reading'])
        assert.deepEqual(names((await client.listPrompts()).prompts), ['briefing'])
        assert.deepEqual(names((await client.listResources()).resources), ['stations'])
        assert.deepEqual(names((await client.listResourceTemplates()).resourceTemplates), ['station'])

        const recorded = await client.callTool({ name: 'set_reading', arguments: { station: 'kyiv', celsius: 7 } })
        assert.deepEqual(recorded.structuredContent, { name: 'kyiv', celsius: 7, readings: [7] })
        const prompt = await client.getPrompt({ name: 'briefing', arguments: { station: 'kyiv' } })
        assert.match(prompt.messages[0].content.text, /station kyiv/)
        const resource = await client.readResource({ uri: 'weather://stations' })
        assert.match(resource.contents[0].text, /kyiv/)
      })

      test('the server knows who is calling', async t => {
        const client = await connect(header(await server.issue('asker', '--owner', 'data-team', '--tool', 'whoami')))
        t.after(() => client.close())
        const { structuredContent: caller } = await client.callTool({ name: 'whoami', arguments: {} })
        assert.deepEqual([caller.name, caller.owner, caller.scopes], ['asker', 'data-team', ['tools:whoami']])
      })

      test('what was not granted looks as if it did not exist', async t => {
        // Each pair: something that the server has and the key was not granted, and
        // something of equal length the other way round, so that the second answer
        // is the server's own. Each is asked for by a client of its own, so that the
        // two conversations can be the same to the byte.
        const pairs = [
          ['set_reading', 'set_nothing', (c, name) => c.callTool({ name, arguments: { station: 'kyiv', celsius: 7 } })],
          ['whoami', 'nobody', (c, name) => c.callTool({ name, arguments: {} })],
          ['briefing', 'greeting', (c, name) => c.getPrompt({ name, arguments: { station: 'kyiv' } })],
          ['weather://stations', 'weather://starfish', (c, uri) => c.readResource({ uri })],
        ]
        const key = await server.issue('narrow', '--tool', 'get_*',
          '--tool', 'set_nothing', '--tool', 'nobody', '--prompt', 'greeting', '--resource', 'weather://starfish')

        const client = await connect(header(key))
        assert.deepEqual(names((await client.listTools()).tools), ['get_feels_like', 'get_forecast', 'get_stations'])
        assert.deepEqual((await client.listPrompts()).prompts, [])
        assert.deepEqual((await client.listResources()).resources, [])
        assert.deepEqual((await client.listResourceTemplates()).resourceTemplates, [])
        await client.close()

        for (const [there, missing, ask] of pairs) {
          const answers = []
          for (const name of [there, missing]) {
            const client = await connect(header(key))
            t.after(() => client.close())
            await assert.rejects(ask(client, name), name)
            answers.push(answerAbout(name, server).replaceAll(name, 'NAME'))
          }
          assert.equal(answers[0], answers[1], `${there} can be told from ${missing}`)
        }
      })

      test('a bad key is refused with 401, always in the same words', async () => {
        const good = await server.issue('good', '--tool', '*')
        const elsewhere = await guarded()
        const bad = {
          'one character changed': good.slice(0, -1) + (good.endsWith('0') ? '1' : '0'),
          'a key of another store': await elsewhere.issue('stranger', '--tool', '*'),
          'an admin key': await server.issue('root', '--admin'),
          'for another server': await server.issue('billing', '--tool', '*', '--audience', 'billing'),
          'revoked before it was used': await server.issue('gone', '--tool', '*'),
        }
        await server.revoke('gone')
        await elsewhere.stop()

        const first = server.exchanges.length
        for (const [what, key] of Object.entries(bad)) {
          assert.equal(status(await failure(connect(header(key)))), 401, what)
        }
        const refused = server.exchanges.slice(first)
        assert.equal(refused.length, Object.keys(bad).length, 'one request each: a client that is refused tries nothing else')
        assert.deepEqual(distinct(refused.map(e => `${e.method} ${e.path} ${e.status}`)), ['POST /mcp 401'])
        assert.deepEqual(distinct(refused.map(e => e.response['www-authenticate'])), [refused[0].response['www-authenticate']])
        assert.equal(distinct(refused.map(e => e.body.replace(/"request_id":"[^"]+"/, ''))).length, 1)
        assert.deepEqual(server.leaks(), [])
      })

      test('no key is refused with 401, and nothing looks for OAuth', async () => {
        const first = server.exchanges.length
        assert.equal(status(await failure(connect({}))), 401)
        assert.deepEqual(server.exchanges.slice(first).map(e => `${e.method} ${e.path} ${e.status}`), ['POST /mcp 401'])
        assert.equal(JSON.parse(server.exchanges.at(-1).body).code, 'no_credential')
      })

      test('a key revoked between two calls ends the next one with 401', async t => {
        const client = await connect(header(await server.issue('leaver', '--tool', '*')))
        t.after(() => client.close())
        await client.callTool({ name: 'get_stations', arguments: {} })
        await server.revoke('leaver')
        assert.equal(status(await failure(client.callTool({ name: 'get_stations', arguments: {} }))), 401)
        assert.equal(status(await failure(client.listTools())), 401)
      })

      // The attack: a session id, seen in a log or guessed, used with a key of one's
      // own, to act in somebody else's session or to end it.
      test(sessions ? 'a session belongs to the key that opened it' : 'there is no session to take over', async t => {
        const [mine, yours] = [await server.issue('mine', '--tool', '*'), await server.issue('yours', '--tool', '*')]
        const client = await connect(header(mine))
        t.after(() => client.close())
        const { sessionId, protocolVersion } = client.transport
        assert.equal(Boolean(sessionId), sessions)
        if (!sessions) return

        const thief = await connect(header(yours), { sessionId, protocolVersion })
        t.after(() => thief.close())
        assert.equal(status(await failure(thief.callTool({ name: 'get_stations', arguments: {} }))), 403)
        assert.equal(status(await failure(thief.transport.terminateSession())), 403)
        await client.callTool({ name: 'get_stations', arguments: {} })
      })

      test('no secret stands in a log or in an answer', () => {
        assert.match(server.log.join(''), /msg="request refused" code=no_credential/)
        assert.deepEqual(server.leaks(), [])
      })
    })
  }
}

test('both protocol eras are served by one URL at the same time', async t => {
  const server = await guarded()
  t.after(() => server.stop())
  const key = await server.issue('both', '--tool', 'get_*')
  const open = []
  for (const { sdk, negotiate } of Object.values(clients)) {
    const client = new sdk.Client(me, negotiate && { versionNegotiation: { mode: negotiate } })
    await client.connect(new sdk.StreamableHTTPClientTransport(server.url, { requestInit: { headers: { 'X-API-Key': key } } }))
    t.after(() => client.close())
    open.push(client)
  }
  await Promise.all(open.map(client => client.callTool({ name: 'get_stations', arguments: {} })))
  const calls = server.exchanges.filter(e => e.body.includes('structuredContent'))
  assert.deepEqual(calls.map(e => `${e.path} ${e.request['mcp-protocol-version']} ${'mcp-session-id' in e.request}`).sort(), [
    '/mcp 2025-11-25 true', '/mcp 2025-11-25 true', '/mcp 2026-07-28 false', '/mcp 2026-07-28 false',
  ])
})

const names = list => list.map(item => item.name)
const distinct = list => [...new Set(list)]

// failure is what the promise was rejected with.
const failure = promise => promise.then(() => assert.fail('succeeded'), error => error)

// status is where each SDK keeps the HTTP status of a refusal.
const status = error => error.status ?? error.code

// answerAbout is the whole answer to the newest request that holds name, but for what
// differs between any two: the date and the session id.
function answerAbout(name, { exchanges }) {
  const { status, response, body } = exchanges.findLast(e => e.sent.includes(name))
  const { date, 'mcp-session-id': session, ...rest } = response
  return JSON.stringify([status, rest, body])
}
