// The official MCP Inspector, as its users meet it at a prompt: one command a call,
// and mcpdo, which keeps a connection open between commands.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { env, guarded, leftovers, run } from './guarded.js'

const build = name => fileURLToPath(new URL(`node_modules/@modelcontextprotocol/inspector/clients/${name}`, import.meta.url))
const launcher = build('launcher/build/index.js')
const mcpdo = build('mcpdo/build/mcp-bin.js')
env.MCP_INSPECTOR_SECRET_STORE = 'memory' // instead of a keychain
leftovers.push(() => spawnSync(process.execPath, [mcpdo, 'daemon', 'stop'], { env })) // mcpdo's, which holds the connections

// What the Inspector ends with.
const ok = 0, refused = 3

const headers = {
  'Authorization: Bearer': key => `Authorization: Bearer ${key}`,
  'X-API-Key': key => `X-API-Key: ${key}`,
}

for (const era of ['legacy', 'modern']) {
  for (const [headerName, header] of Object.entries(headers)) {
    describe(`Inspector, ${era} era, with ${headerName}`, () => {
      let server
      before(async () => { server = await guarded({ audience: 'weather' }) })
      after(() => server?.stop())

      // inspect runs one command and returns its exit code and what it printed.
      async function inspect(key, method, ...args) {
        const { code, stdout, stderr } = await run(process.execPath, launcher, '--cli', server.url.href,
          '--transport', 'http', '--format', 'json', '--quiet', ...(era === 'modern' ? ['--protocol-era', era] : []),
          ...(key ? ['--header', header(key)] : []), '--method', method, ...args)
        return { code, result: stdout && JSON.parse(stdout).result, error: stderr && JSON.parse(stderr).error }
      }

      test('a good key lists what it was granted and calls it', async () => {
        const key = await server.issue('good', '--audience', 'weather', '--tool', 'get_*', '--prompt', 'briefing', '--resource', 'weather://stations')
        const lists = {}
        for (const kind of ['tools', 'prompts', 'resources']) {
          const { code, result } = await inspect(key, `${kind}/list`)
          assert.equal(code, ok)
          lists[kind] = result[kind].map(item => item.name)
        }
        assert.deepEqual(lists, { tools: ['get_feels_like', 'get_forecast', 'get_stations'], prompts: ['briefing'], resources: ['stations'] })

        const call = await inspect(key, 'tools/call', '--tool-name', 'get_feels_like', '--tool-arg', 'celsius=0', 'wind_kmh=30')
        assert.deepEqual([call.code, call.result?.structuredContent], [ok, { feels_like_celsius: -6.5, wind_chill: true }])
        const read = await inspect(key, 'resources/read', '--uri', 'weather://stations')
        assert.deepEqual([read.code, read.result?.contents[0].text], [ok, '{"stations":[]}'])
      })

      test('what was not granted looks as if it did not exist', async () => {
        // Of each pair the server has only the first, and the key was granted only
        // the second.
        const key = await server.issue('narrow', '--tool', 'set_nothing', '--prompt', 'greeting', '--resource', 'weather://starfish')
        for (const [there, missing, ...method] of [
          ['set_reading', 'set_nothing', 'tools/call', '--tool-arg', 'station=kyiv', 'celsius=7', '--tool-name'],
          ['briefing', 'greeting', 'prompts/get', '--prompt-args', 'station=kyiv', '--prompt-name'],
          ['weather://stations', 'weather://starfish', 'resources/read', '--uri'],
        ]) {
          const [one, other] = await Promise.all([there, missing].map(name => inspect(key, ...method, name)))
          assert.notEqual(one.code, ok)
          assert.equal(JSON.stringify(one).replaceAll(there, 'NAME'), JSON.stringify(other).replaceAll(missing, 'NAME'))
        }
      })

      test('a bad key and none are refused, and nothing looks for OAuth', async () => {
        const good = await server.issue('typo', '--tool', '*')
        const first = server.exchanges.length
        const bad = [
          '',
          good.slice(0, -1) + (good.endsWith('0') ? '1' : '0'),
          await server.issue('billing', '--tool', '*', '--audience', 'billing'),
          await server.issue('root', '--admin'),
        ]
        for (const key of bad) {
          const { code, error } = await inspect(key, 'tools/list', '--stored-auth-only')
          assert.deepEqual([code, error?.code], [refused, 'auth_required'])
          assert.match(error.message, /401/)
        }
        const answers = server.exchanges.slice(first).map(e => `${e.method} ${e.path} ${e.status}`)
        assert.deepEqual(answers, bad.map(() => 'POST /mcp 401'))
      })

      test('a key revoked between two calls of one connection ends the next one', async () => {
        const connection = `${era}-${headerName[0]}`.toLowerCase()
        const hold = (...args) => run(process.execPath, mcpdo, '--format', 'json', '--stored-auth-only', '--connection', connection, ...args)
        const key = await server.issue('leaver', '--tool', 'get_*')

        const connected = await hold('connect', server.url.href, '--transport', 'http', '--header', header(key), '--era', era)
        assert.equal(connected.code, ok, connected.stderr)
        assert.equal(JSON.parse(connected.stdout).protocolEra, era)
        assert.equal((await hold('tools/call', 'get_stations')).code, ok)
        await server.revoke('leaver')
        const { code, stdout, stderr } = await hold('tools/call', 'get_stations')
        assert.deepEqual([code, stdout, /"status":401|auth_required/.test(stderr)], [refused, '', true], stderr)
        assert.equal((await inspect(key, 'tools/list', '--stored-auth-only')).code, refused)
      })

      test('no secret stands in a log or in an answer', () => {
        assert.match(server.log.join(''), /msg="request refused" code=revoked/)
        assert.deepEqual(server.leaks(), [])
      })
    })
  }
}
