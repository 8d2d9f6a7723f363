// An MCP server of the TypeScript SDK v1 over HTTP, with sessions, that knows nothing of keys.
import { once } from 'node:events'
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'

// upstream starts one and returns
//   url       where it is
//   requests  {method, headers, body} of all that reached it, oldest first
//   alarms    how often set_alarm ran
//   canceled  how many calls of get_wait were ended by their client
//   refuse    a status that it answers to everything, as if it wanted a login; 0 for none
//   step()    lets get_steps send its next event
//   stop()    ends it
export async function upstream() {
  const state = { requests: [], alarms: 0, canceled: 0, refuse: 0 }
  const sessions = new Map()
  let release
  const progress = (extra, progress) =>
    extra.sendNotification({ method: 'notifications/progress', params: { progressToken: extra._meta.progressToken, progress } })

  const serverOf = () => {
    const server = new McpServer({ name: 'weather', version: '1.0.0' })
    const text = text => ({ content: [{ type: 'text', text }] })
    server.registerTool('get_forecast', { description: 'The forecast' }, () => text('sunny'))
    server.registerTool('set_alarm', { description: 'Set an alarm' }, () => {
      state.alarms++
      return text('done')
    })
    server.registerTool('get_steps', { description: 'Three steps' }, async extra => {
      for (const step of [1, 2, 3]) {
        const released = new Promise(resolve => { release = resolve })
        await progress(extra, step)
        await released
      }
      return text('three steps')
    })
    server.registerTool('get_wait', { description: 'Waits until it is canceled' }, async extra => {
      const canceled = once(extra.signal, 'abort')
      await progress(extra, 1)
      await canceled
      state.canceled++
      return text('canceled')
    })
    return server
  }

  const app = createMcpExpressApp()
  app.use((req, res, next) => {
    state.requests.push({ method: req.method, headers: req.headers, body: JSON.stringify(req.body ?? '') })
    if (!state.refuse) return next()
    res.set('WWW-Authenticate', 'Bearer realm="upstream"').status(state.refuse).json({ error: 'log in' })
  })
  app.all('/mcp', async (req, res) => {
    let transport = sessions.get(req.headers['mcp-session-id'])
    if (!transport && req.headers['mcp-session-id']) return res.sendStatus(404)
    if (!transport) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: () => crypto.randomUUID(),
        onsessioninitialized: id => sessions.set(id, transport),
      })
      await serverOf().connect(transport)
    }
    await transport.handleRequest(req, res, req.body)
  })
  const listener = app.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return Object.assign(state, {
    url: `http://127.0.0.1:${listener.address().port}/mcp`,
    step: () => release(),
    stop: () => {
      listener.close()
      listener.closeAllConnections()
    },
  })
}
