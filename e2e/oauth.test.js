// Clients that would rather do OAuth. Whatever they try when a key is refused, they
// must find a clean end: a JSON 404 wherever they look for an authorization server,
// and where they register all the same, an error that says what this server takes.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as v2 from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { guarded } from './guarded.js'

const me = { name: 'mcpkeys-e2e', version: '1.0.0' }
const v1 = { Client, StreamableHTTPClientTransport }

// provider is an OAuth client that has nothing yet, and whose user must never be
// sent anywhere.
const provider = {
  redirectUrl: 'http://127.0.0.1/callback',
  clientMetadata: { client_name: me.name, redirect_uris: ['http://127.0.0.1/callback'] },
  clientInformation: () => undefined,
  saveClientInformation: () => assert.fail('it registered a client'),
  tokens: () => undefined,
  saveTokens: () => assert.fail('it was given tokens'),
  codeVerifier: () => '',
  saveCodeVerifier: () => {},
  redirectToAuthorization: () => assert.fail('it sent the user to a login page'),
}

for (const [name, sdk, givesUp, options] of [
  ['SDK v1', v1, 'InvalidClientMetadataError'],
  ['SDK v2, 2025-11-25', v2, 'RegistrationRejectedError'],
  ['SDK v2, 2026-07-28', v2, 'RegistrationRejectedError', { versionNegotiation: { mode: { pin: '2026-07-28' } } }],
]) {
  describe(`${name} with an OAuth provider`, () => {
    let server
    before(async () => { server = await guarded() })
    after(() => server?.stop())

    async function connect(credentials) {
      const client = new sdk.Client(me, options)
      await client.connect(new sdk.StreamableHTTPClientTransport(server.url, credentials))
      return client
    }

    test('without a key, discovery finds nothing and ends', async () => {
      const error = await connect({ authProvider: provider }).then(() => assert.fail('connected'), error => error)
      assert.equal(error.constructor.name, givesUp)
      assert.match(error.message, /This server takes API keys and has no OAuth/)

      const [refused, ...looked] = server.exchanges
      assert.deepEqual([refused.path, refused.status], ['/mcp', 401])
      assert.equal(looked[0].path, '/.well-known/oauth-protected-resource/mcp')
      assert.equal(looked.at(-1).path, '/register')
      assert.equal(looked.at(-1).status, 400)
      for (const e of looked.slice(0, -1)) {
        assert.equal(e.status, 404, e.path)
        assert.match(e.response['content-type'], /^application\/(problem\+)?json$/)
        assert.equal(JSON.parse(e.body).code, 'no_route')
      }
    })

    test('with a good key, nothing looks for OAuth', async t => {
      const first = server.exchanges.length
      const key = await server.issue('good', '--tool', 'get_*')
      const client = await connect({ authProvider: provider, requestInit: { headers: { 'X-API-Key': key } } })
      t.after(() => client.close())
      await client.callTool({ name: 'get_stations', arguments: {} })
      assert.deepEqual([...new Set(server.exchanges.slice(first).map(e => e.path))], ['/mcp'])
      assert.deepEqual(server.leaks(), [])
    })
  })
}

test('SDK v2 with a token of its own is refused without a search for OAuth', async t => {
  const server = await guarded()
  t.after(() => server.stop())
  const connect = async key => {
    const client = new v2.Client(me)
    await client.connect(new v2.StreamableHTTPClientTransport(server.url, { authProvider: { token: async () => key } }))
    return client
  }
  const client = await connect(await server.issue('good', '--tool', 'get_*'))
  t.after(() => client.close())
  await client.callTool({ name: 'get_stations', arguments: {} })
  await server.revoke('good')
  await assert.rejects(client.callTool({ name: 'get_stations', arguments: {} }), v2.UnauthorizedError)
  await assert.rejects(connect('mcpk_no'), v2.UnauthorizedError)
  assert.deepEqual([...new Set(server.exchanges.map(e => e.path))], ['/mcp'])
})
