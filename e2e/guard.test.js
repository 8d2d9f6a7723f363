// keyctl guard in front of servers from npm that know nothing of keys: over stdio the official
// filesystem and everything servers, over HTTP one of the TypeScript SDK.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as v2 from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { CreateMessageRequestSchema, ElicitRequestSchema, LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import { account, all, asRoot, env, guarded, leftovers, protocolOf, run, tested } from './guarded.js'
import { until } from './proxied.js'
import { upstream } from './upstream.js'

const me = { name: 'mcpkeys-e2e', version: '1.0.0' }
const v1 = { Client, StreamableHTTPClientTransport }
const module = name => fileURLToPath(new URL(`node_modules/@modelcontextprotocol/${name}`, import.meta.url))

const clients = {
  'SDK v1': { sdk: v1 },
  ...all && { 'SDK v2, 2025-11-25': { sdk: v2, negotiate: 'legacy' } },
  'SDK v2, whichever': { sdk: v2, negotiate: 'auto' },
}

// folder makes one that the command may write.
function folder() {
  const made = mkdtempSync(join(tmpdir(), 'mcpkeys-e2e-files-'))
  leftovers.push(() => rmSync(made, { recursive: true, force: true }))
  if (asRoot) chownSync(made, ...['-u', '-g'].map(flag => Number(execFileSync('id', [flag, 'nobody']))))
  return made
}

// children are the processes of a guard.
function children(guard) {
  const lines = execFileSync('ps', ['-axo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  return lines.map(line => line.trim().split(/ +/).map(Number)).filter(([, parent]) => parent === guard.pid).map(([pid]) => pid)
}

// connect opens a client.
async function connect(server, key, { sdk, negotiate }, { headers, capabilities = {} } = {}) {
  const client = new sdk.Client(me, { capabilities, ...negotiate && { versionNegotiation: { mode: negotiate } } })
  await client.connect(new sdk.StreamableHTTPClientTransport(server.url, { requestInit: { headers: { Authorization: `Bearer ${key}`, ...headers } } }))
  return client
}

// call calls a tool with options, which have another place in SDK v1.
const call = (client, params, options) => client instanceof Client ? client.callTool(params, undefined, options) : client.callTool(params, options)

// inspect runs one command of the Inspector.
env.MCP_INSPECTOR_SECRET_STORE = 'memory' // instead of a keychain
async function inspect(server, key, ...args) {
  const { code, stdout, stderr } = await run(process.execPath, module('inspector/clients/launcher/build/index.js'), '--cli', server.url.href,
    '--transport', 'http', '--format', 'json', '--quiet', '--stored-auth-only', '--header', `Authorization: Bearer ${key}`, '--method', ...args)
  return { code, result: stdout && JSON.parse(stdout).result, error: stderr && JSON.parse(stderr).error }
}

const names = list => list.map(item => item.name).sort()
const failure = promise => promise.then(() => assert.fail('succeeded'), error => error)
const status = error => error.status ?? error.code // where each SDK keeps the HTTP status of a refusal
const invalid = /API key is no longer valid for this server.*ask the person who issued it/

describe('the filesystem server over stdio', () => {
  const files = folder()
  let server
  before(async () => {
    writeFileSync(join(files, 'hello.txt'), 'hello from a file', { mode: 0o644 })
    server = await guarded({ audience: 'files', guard: [...account, '--', process.execPath, module('server-filesystem/dist/index.js'), files] })
  })
  after(() => server?.stop())

  const reader = name => server.issue(name, '--audience', 'files', '--tool', 'read_*', '--tool', 'list_*')
  const readable = ['list_allowed_directories', 'list_directory', 'list_directory_with_sizes',
    'read_file', 'read_media_file', 'read_multiple_files', 'read_text_file']
  const write = name => ({ name: 'write_file', arguments: { path: join(files, name), content: 'written' } })

  for (const [clientName, kind] of Object.entries(clients)) {
    test(`${clientName} lists and calls what was granted, and nothing else runs`, async t => {
      const client = await connect(server, await reader(`reader ${clientName}`), kind)
      t.after(() => client.close())
      assert.deepEqual(names((await client.listTools()).tools), readable)
      const read = await client.callTool({ name: 'read_text_file', arguments: { path: join(files, 'hello.txt') } })
      assert.equal(read.content[0].text, 'hello from a file')

      const before = readdirSync(files)
      const denied = await failure(client.callTool(write('denied.txt')))
      const unknown = await failure(client.callTool({ ...write('denied.txt'), name: 'no_such_tl' }))
      assert.equal(denied.message.replace('write_file', 'no_such_tl'), unknown.message)
      assert.deepEqual(readdirSync(files), before)
      tested(clientName, 'filesystem', 'stdio', protocolOf(server), 'lists and calls what is granted; a denied tool does not run')
    })

    test(`${clientName} of a revoked key gets 401, and its process ends`, async t => {
      const other = await connect(server, await reader(`stays ${clientName}`), kind)
      t.after(() => other.close())
      const before = children(server)
      const client = await connect(server, await reader(`leaver ${clientName}`), kind)
      t.after(() => client.close())
      await client.listTools()
      const own = children(server).filter(pid => !before.includes(pid))
      assert.equal(own.length, 1, 'a process of its own')

      await server.revoke(`leaver ${clientName}`)
      const call = failure(client.callTool({ name: 'list_allowed_directories', arguments: {} }))
      assert.equal(status(await call), 401)
      await until(() => !children(server).includes(own[0]) && ended(own[0]))
      assert.equal((await other.listTools()).tools.length, readable.length, 'the other key keeps its process')
      assert.ok(before.every(pid => children(server).includes(pid)))
      tested(clientName, 'filesystem', 'stdio', protocolOf(server), 'a revoke ends the process, then 401')
    })
  }

  test('a key with every tool writes a file', async t => {
    const client = await connect(server, await server.issue('writer', '--audience', 'files', '--tool', '*'), clients['SDK v1'])
    t.after(() => client.close())
    await client.callTool(write('granted.txt'))
    assert.equal(readFileSync(join(files, 'granted.txt'), 'utf8'), 'written')
  })

  test('Inspector lists and calls what was granted, and nothing else runs', async () => {
    const key = await reader('inspector')
    const list = await inspect(server, key, 'tools/list')
    assert.deepEqual(names(list.result.tools), readable)
    const read = await inspect(server, key, 'tools/call', '--tool-name', 'read_text_file', '--tool-arg', `path=${join(files, 'hello.txt')}`)
    assert.deepEqual([read.code, read.result.content[0].text], [0, 'hello from a file'])
    const before = readdirSync(files)
    const denied = await inspect(server, key, 'tools/call', '--tool-name', 'write_file', '--tool-arg', `path=${join(files, 'inspector.txt')}`, 'content=written')
    assert.notEqual(denied.code, 0)
    assert.deepEqual(readdirSync(files), before)

    await server.revoke('inspector')
    const { code, error } = await inspect(server, key, 'tools/list')
    assert.deepEqual([code, error?.code], [3, 'auth_required'])
    assert.match(error.message, /401/)
    tested('Inspector', 'filesystem', 'stdio', protocolOf(server), 'lists and calls what is granted; a denied tool does not run; 401 after a revoke')
  })

  test('the command runs as the user that was named', async t => {
    const before = children(server)
    const client = await connect(server, await reader('who'), clients['SDK v1'])
    t.after(() => client.close())
    const [own] = children(server).filter(pid => !before.includes(pid))
    const user = asRoot ? 'nobody' : execFileSync('id', ['-un'], { encoding: 'utf8' }).trim()
    assert.equal(execFileSync('ps', ['-o', 'user=', '-p', own], { encoding: 'utf8' }).trim(), user)
  })

  test('no secret stands in a log or in an answer', () => assert.deepEqual(server.leaks(), []))
})

describe('the everything server over stdio', () => {
  let server
  before(async () => {
    server = await guarded({ audience: 'everything', guard: [...account, '--', process.execPath, module('server-everything/dist/index.js'), 'stdio'] })
  })
  after(() => server?.stop())

  for (const [clientName, kind] of Object.entries(clients)) {
    const old = kind.sdk === v1
    const key = (...scopes) => server.issue(`${clientName} ${crypto.randomUUID()}`, '--audience', 'everything', ...scopes)

    test(`${clientName} is told the progress of a call`, async t => {
      const client = await connect(server, await key('--tool', 'trigger-long-running-operation'), kind)
      t.after(() => client.close())
      const told = []
      const { content } = await call(client, { name: 'trigger-long-running-operation', arguments: { duration: 0.3, steps: 3 } },
        { onprogress: ({ progress, total }) => told.push(`${progress} of ${total}`) })
      assert.deepEqual(told, ['1 of 3', '2 of 3', '3 of 3'])
      assert.match(content[0].text, /completed/)
      tested(clientName, 'everything', 'stdio', protocolOf(server), 'progress')
    })

    test(`${clientName} is asked for a sample and for input, and its answers arrive`, async t => {
      const client = await connect(server, await key('--tool', 'trigger-*'), kind,
        { capabilities: { sampling: {}, elicitation: { form: {} } } })
      t.after(() => client.close())
      const asked = []
      client.setRequestHandler(old ? CreateMessageRequestSchema : 'sampling/createMessage', ({ params }) => {
        asked.push(params.messages[0].content.text)
        return { role: 'assistant', content: { type: 'text', text: 'a sampled answer' }, model: 'stub' }
      })
      client.setRequestHandler(old ? ElicitRequestSchema : 'elicitation/create', ({ params }) => {
        asked.push(params.message)
        return { action: 'accept', content: { name: 'an elicited name' } }
      })
      await until(async () => names((await client.listTools()).tools).includes('trigger-elicitation-request')) // once it has seen initialized
      const sampled = await client.callTool({ name: 'trigger-sampling-request', arguments: { prompt: 'say something' } })
      assert.match(sampled.content[0].text, /a sampled answer/)
      const elicited = await client.callTool({ name: 'trigger-elicitation-request', arguments: {} })
      assert.match(JSON.stringify(elicited.content), /an elicited name/)
      assert.match(asked[0], /say something/)
      assert.match(asked[1], /provide inputs/)
      tested(clientName, 'everything', 'stdio', protocolOf(server), 'sampling and elicitation')
    })

    test(`${clientName} gets what the server logs`, async t => {
      const client = await connect(server, await key('--tool', 'toggle-simulated-logging'), kind)
      t.after(() => client.close())
      const logged = new Promise(resolve => {
        client.setNotificationHandler(old ? LoggingMessageNotificationSchema : 'notifications/message', ({ params }) => resolve(params.data))
      })
      await client.callTool({ name: 'toggle-simulated-logging', arguments: {} })
      assert.match(await logged, /level.message/i)
      tested(clientName, 'everything', 'stdio', protocolOf(server), 'log messages')
    })

    test(`${clientName} sees prompts and resources that were granted, and no other`, async t => {
      const granted = 'demo://resource/static/document/architecture.md'
      const client = await connect(server, await key('--prompt', 'simple-*', '--resource', granted, '--resource', 'demo://resource/dynamic/text/*'), kind)
      t.after(() => client.close())
      assert.deepEqual(names((await client.listPrompts()).prompts), ['simple-prompt'])
      assert.deepEqual((await client.listResources()).resources.map(r => r.uri), [granted])
      assert.deepEqual((await client.listResourceTemplates()).resourceTemplates.map(r => r.uriTemplate), ['demo://resource/dynamic/text/{resourceId}'])
      assert.deepEqual((await client.listTools()).tools, [])

      assert.match((await client.getPrompt({ name: 'simple-prompt' })).messages[0].content.text, /./)
      assert.match((await client.readResource({ uri: granted })).contents[0].text, /Architecture/)
      assert.match((await client.readResource({ uri: 'demo://resource/dynamic/text/1' })).contents[0].text, /Resource 1/)
      await failure(client.getPrompt({ name: 'args-prompt', arguments: { city: 'Kyiv' } }))
      await failure(client.readResource({ uri: 'demo://resource/static/document/features.md' }))
      await failure(client.readResource({ uri: 'demo://resource/dynamic/blob/1' }))
      tested(clientName, 'everything', 'stdio', protocolOf(server), 'prompts and resources by scope')
    })
  }

  test('no secret stands in a log or in an answer', () => assert.deepEqual(server.leaks(), []))
})

describe('a server of the TypeScript SDK v1 over HTTP', () => {
  let behind, server
  before(async () => {
    behind = await upstream()
    server = await guarded({ audience: 'weather', guard: ['--upstream', behind.url] })
  })
  after(async () => {
    await server?.stop()
    behind?.stop()
  })
  const key = (name, ...more) => server.issue(name, '--audience', 'weather', '--tool', 'get_*', ...more)

  for (const [clientName, kind] of Object.entries(clients)) {
    test(`${clientName} lists and calls what was granted, and nothing else reaches the server`, async t => {
      const client = await connect(server, await key(`${clientName} granted`), kind)
      t.after(() => client.close())
      assert.deepEqual(names((await client.listTools()).tools), ['get_forecast', 'get_steps', 'get_wait'])
      assert.equal((await client.callTool({ name: 'get_forecast', arguments: {} })).content[0].text, 'sunny')

      const denied = await failure(client.callTool({ name: 'set_alarm', arguments: {} }))
      const unknown = await failure(client.callTool({ name: 'set_nothg', arguments: {} }))
      assert.equal(denied.message.replace('set_alarm', 'set_nothg'), unknown.message)
      assert.equal(behind.alarms, 0)
      assert.ok(!behind.requests.some(r => r.body.includes('set_')))
      tested(clientName, 'TypeScript SDK v1', 'HTTP', protocolOf(server), 'lists and calls what is granted; a denied call does not reach the server')
    })

    test(`${clientName} cannot say who it is; the guard does`, async t => {
      const client = await connect(server, await key(`${clientName} spoof`, '--owner', 'data-team'), kind,
        { headers: { 'X-Mcpkeys-Owner': 'root', 'x_mcpkeys_owner': 'root', 'X-Mcpkeys-Admin': 'true' } })
      t.after(() => client.close())
      const first = behind.requests.length
      await client.callTool({ name: 'get_forecast', arguments: {} })
      const sent = server.exchanges.findLast(e => e.sent.includes('get_forecast')).request
      assert.equal(sent['x-mcpkeys-owner'], 'root', 'the client sends it')
      const { headers } = behind.requests.slice(first).find(r => r.body.includes('get_forecast'))
      const identity = Object.fromEntries(Object.entries(headers).filter(([name]) => /^x[-_]mcpkeys/.test(name)))
      const { 'x-mcpkeys-key-id': id, ...rest } = identity
      assert.match(id, /./)
      assert.deepEqual(rest, {
        'x-mcpkeys-key-name': encodeURIComponent(`${clientName} spoof`).replaceAll('%2C', ','),
        'x-mcpkeys-owner': 'data-team', 'x-mcpkeys-scopes': 'tools:get_*', 'x-mcpkeys-audience': 'weather',
      })
      assert.equal(headers.authorization, undefined)
      tested(clientName, 'TypeScript SDK v1', 'HTTP', protocolOf(server), 'identity headers cannot be forged')
    })

    test(`${clientName} gets events one by one`, async t => {
      const client = await connect(server, await key(`${clientName} steps`), kind)
      t.after(() => client.close())
      const told = []
      const { content } = await call(client, { name: 'get_steps', arguments: {} }, {
        onprogress: ({ progress }) => {
          told.push(progress)
          behind.step() // the server waits for it before it sends the next event
        },
      })
      assert.deepEqual([told, content[0].text], [[1, 2, 3], 'three steps'])
      tested(clientName, 'TypeScript SDK v1', 'HTTP', protocolOf(server), 'events one by one')
    })

    test(`${clientName} reads that its key was revoked while a call runs`, async t => {
      const name = `${clientName} running`
      const client = await connect(server, await key(name), kind)
      t.after(() => client.close())
      let under
      const way = new Promise(resolve => { under = resolve })
      const ended = behind.canceled
      const error = failure(call(client, { name: 'get_wait', arguments: {} }, { timeout: 60_000, onprogress: under }))
      await way
      await server.revoke(name)
      const { message } = await error
      assert.match(message, invalid)
      await until(() => behind.canceled === ended + 1)
      assert.equal(status(await failure(client.listTools())), 401)
      tested(clientName, 'TypeScript SDK v1', 'HTTP', protocolOf(server), 'a revoke ends a running call with an error, then 401')
    })

    for (const code of [401, 403]) {
      test(`${clientName} gets 502 if the server answers ${code}, and is not told to log in`, async t => {
        const client = await connect(server, await key(`${clientName} ${code}`), kind)
        t.after(() => client.close())
        const first = server.exchanges.length
        behind.refuse = code
        t.after(() => { behind.refuse = 0 })
        const error = await failure(client.callTool({ name: 'get_forecast', arguments: {} }))
        behind.refuse = 0
        const answers = server.exchanges.slice(first)
        assert.deepEqual(answers.filter(e => e.method === 'POST').map(e => `${e.path} ${e.status}`), ['/mcp 502'])
        assert.ok(answers.every(e => !('www-authenticate' in e.response)))
        assert.match(error.message, /MCP server behind this guard gave no usable answer/)
        assert.equal((await client.callTool({ name: 'get_forecast', arguments: {} })).content[0].text, 'sunny')
        tested(clientName, 'TypeScript SDK v1', 'HTTP', protocolOf(server), `502 if the server answers ${code}`)
      })
    }
  }

  test('a key with every tool sets an alarm', async t => {
    const client = await connect(server, await server.issue('setter', '--audience', 'weather', '--tool', '*'), clients['SDK v1'])
    t.after(() => client.close())
    const before = behind.alarms
    await client.callTool({ name: 'set_alarm', arguments: {} })
    assert.equal(behind.alarms, before + 1)
    behind.alarms = before
  })

  test('Inspector lists and calls what was granted, and nothing else reaches the server', async () => {
    const inspector = await key('inspector')
    assert.deepEqual(names((await inspect(server, inspector, 'tools/list')).result.tools), ['get_forecast', 'get_steps', 'get_wait'])
    const called = await inspect(server, inspector, 'tools/call', '--tool-name', 'get_forecast')
    assert.deepEqual([called.code, called.result.content[0].text], [0, 'sunny'])
    assert.notEqual((await inspect(server, inspector, 'tools/call', '--tool-name', 'set_alarm')).code, 0)
    assert.equal(behind.alarms, 0)
    await server.revoke('inspector')
    const { code, error } = await inspect(server, inspector, 'tools/list')
    assert.deepEqual([code, error?.code], [3, 'auth_required'])
    tested('Inspector', 'TypeScript SDK v1', 'HTTP', protocolOf(server), 'lists and calls what is granted; a denied call does not reach the server; 401 after a revoke')
  })

  test('no secret stands in a log or in an answer', () => assert.deepEqual(server.leaks(), []))
})

// ended says whether there is no such process.
const ended = pid => spawnSync('ps', ['-p', pid]).status !== 0
