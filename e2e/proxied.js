// An MCP server without a guard behind a proxy that asks keyctl serve. The proxies are those of
// the system, with the configurations of docs/forward-auth.md as they are there, except for
// addresses.
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { dir, start } from './guarded.js'

const page = readFileSync(new URL('../docs/forward-auth.md', import.meta.url), 'utf8')

// fromPage is the configuration in the page that has this language, with other addresses.
function fromPage(language, addresses) {
  let text = page.match(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'ms'))[1]
  for (const [theirs, ours] of Object.entries(addresses)) {
    if (!text.includes(theirs)) throw new Error(`the configuration for ${language} has no ${theirs}`)
    text = text.replaceAll(theirs, ours)
  }
  return text
}

// proxies start one on a port, in front of keyctl and the server behind, whose ports are given
// too, and return the process. Settings follow ?audience=weather in its URL.
export const proxies = {
  nginx: (port, keyctl, behind, settings) => {
    const server = fromPage('nginx', { 'listen 80': `listen 127.0.0.1:${port}`, ...addresses(keyctl, behind, settings) })
    const config = join(dir, `nginx-${port}.conf`)
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${dir}/nginx-${port}-${name};`).join('\n')
    writeFileSync(config, `daemon off; master_process off; pid ${config}.pid; events {}\nhttp {\naccess_log off;\n${temporary}\n${server}}\n`)
    return start('nginx', '-e', 'stderr', '-p', dir, '-c', config)
  },
  Caddy: (port, keyctl, behind, settings) => {
    const site = fromPage('caddyfile', { 'mcp.example.com': `http://mcp.example.com:${port}, http://127.0.0.1:${port}`, ...addresses(keyctl, behind, settings) })
    const config = join(dir, `Caddyfile-${port}`)
    writeFileSync(config, `{\n\tadmin off\n}\n${site}`)
    return start('caddy', 'run', '--config', config, '--adapter', 'caddyfile')
  },
}

const addresses = (keyctl, behind, settings) => ({
  '127.0.0.1:8420': `127.0.0.1:${keyctl}`, '127.0.0.1:8080': `127.0.0.1:${behind}`, '?audience=weather': `?audience=weather${settings}`,
})

// freePort is one that was free a moment ago.
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

// until waits until condition is true.
export async function until(condition) {
  while (!await condition()) await setTimeout(20)
}

// plainServer starts an MCP server that asks for no key and knows no proxy, and returns
//   port
//   seen   {method, headers, body} of each request that arrived, oldest first
//   next() lets the tool steps, or a plain stream, take one step
export async function plainServer() {
  const seen = [], waiting = []
  let steps = 0
  const next = () => { steps++; waiting.shift()?.() }
  const step = async () => {
    if (steps === 0) await new Promise(resolve => waiting.push(resolve))
    steps--
  }
  const server = http.createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    seen.push({ method: req.method, headers: req.headers, body })
    if (!/^(localhost|127\.0\.0\.1)(:|$)/.test(req.headers.host)) return res.writeHead(403).end('unknown Host') // as SDKs do
    if (req.url === '/mcp?plain') { // without X-Accel-Buffering, which the SDK sends
      res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n')
      await step()
      return res.end('data: 2\n\n')
    }
    if (!req.headers['content-type']?.includes('json')) return res.writeHead(200, { 'X-Behind': 'yes' }).end()
    const mcp = new McpServer({ name: 'plain', version: '1' })
    mcp.registerTool('steps', {}, async ({ sendNotification, _meta }) => {
      for (const progress of [1, 2]) {
        await sendNotification({ method: 'notifications/progress', params: { progressToken: _meta.progressToken, progress } })
        await step()
      }
      return { content: [{ type: 'text', text: 'done' }] }
    })
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined })
    await mcp.connect(transport)
    await transport.handleRequest(req, res, JSON.parse(body))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: server.address().port, seen, next, stop: () => { server.close(); server.closeAllConnections() } }
}

// ask sends one request and returns {status, headers, body}.
export async function ask(port, headers, { method = 'GET', body = '', path = '/mcp' } = {}) {
  const req = http.request({ host: '127.0.0.1', port, method, path, headers, agent: false })
  req.end(body)
  const [res] = await once(req, 'response')
  let text = ''
  for await (const chunk of res) text += chunk
  return { status: res.statusCode, headers: res.headers, body: text }
}
