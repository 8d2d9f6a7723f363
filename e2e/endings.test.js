// Calls that run when their key ends. A client that is not answered waits until it gives
// up by itself; it must be told at once, also when the call has sent progress already.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import * as v2 from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { guarded } from './guarded.js'

const me = { name: 'mcpkeys-e2e', version: '1.0.0' }
const v1 = { Client, StreamableHTTPClientTransport }

const clients = {
  'SDK v1': { sdk: v1 },
  'SDK v2, 2025-11-25': { sdk: v2, negotiate: 'legacy' },
  'SDK v2, 2026-07-28': { sdk: v2, negotiate: { pin: '2026-07-28' } },
}

const invalid = /API key is no longer valid for this server.*ask the person who issued it/

// ends are what is done to a key while its call runs, and what the client must be told.
const ends = {
  revoked: [(server, name) => server.revoke(name), invalid],
  disabled: [(server, name) => server.keyctl('disable', name), invalid],
  expired: [(server, name) => server.keyctl('edit', name, '--expires', '1s'), invalid],
  narrowed: [(server, name) => server.keyctl('edit', name, '--scope', 'tools:quick'),
    /API key was changed and no longer grants tools:wait.*ask the person who issued the key/],
}

for (const [clientName, { sdk, negotiate }] of Object.entries(clients)) {
  describe(`${clientName}, a call that runs`, () => {
    let server
    before(async () => { server = await guarded({ program: 'slowserver' }) })
    after(() => server?.stop())

    for (const [what, [end, sentence]] of Object.entries(ends)) {
      for (const progress of [true, false]) {
        test(`is told that its key was ${what}, ${progress ? 'after progress' : 'before any answer'}`, async t => {
          const name = `${what}-${progress}`
          const key = await server.issue(name, '--tool', '*')
          const client = new sdk.Client(me, negotiate && { versionNegotiation: { mode: negotiate } })
          await client.connect(new sdk.StreamableHTTPClientTransport(server.url, { requestInit: { headers: { Authorization: `Bearer ${key}` } } }))
          t.after(() => client.close())

          let under
          const way = new Promise(resolve => { under = resolve })
          const options = { timeout: 200_000, ...progress && { onprogress: under } }
          const failed = sdk === v1
            ? client.callTool({ name: 'wait', arguments: {} }, undefined, options)
            : client.callTool({ name: 'wait', arguments: {} }, options)
          const error = failed.then(() => assert.fail('it succeeded'), error => error)
          while (!server.log.join('').includes(`msg="a call waits" key=${name}`)) await setTimeout(20)
          if (progress) await way
          await end(server, name)
          assert.match((await error).message, sentence)

          if (what !== 'narrowed') return
          const { content } = await client.callTool({ name: 'quick', arguments: {} })
          assert.equal(content[0].text, 'done')
        })
      }
    }

    test('no secret stands in a log or in an answer', () => assert.deepEqual(server.leaks(), []))
  })
}
