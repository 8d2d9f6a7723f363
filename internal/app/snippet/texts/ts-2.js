const audience = 'weather'
const keysServer = 'http://127.0.0.1:8420'
const verifyKey = readFileSync(process.env.MCPKEYS_VERIFY_KEY_FILE, 'utf8').trim()

const tools = {
  get_forecast: { description: 'The forecast', run: () => 'sunny' },
  get_stations: { description: 'The stations', run: () => 'kyiv, oslo' },
  set_alarm: { description: 'Set an alarm', run: () => 'done' },
}

// scopeOf is the scope of a tool, encoded as keyctl issue --tool does.
const scopeOf = name => 'tools:' + encodeURIComponent(name).replace(/[!~*'()]/g, c => '%' + c.charCodeAt(0).toString(16).toUpperCase())

// verify asks about the key of one request, and about every tool.
async function verify(key, req) {
  try {
    const answer = await fetch(`${keysServer}/v1/verify`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${verifyKey}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({
        key,
        audience,
        client_ip: req.ip,
        agent: req.get('User-Agent'),
        ask: Object.keys(tools).map(scopeOf),
      }),
      signal: AbortSignal.timeout(5000),
    })
    if (answer.ok) return await answer.json()
    console.error(`keyctl serve answered ${answer.status} to /v1/verify`)
    return { code: answer.status === 429 ? 'rate_limited' : 'unavailable', retry_after: answer.headers.get('Retry-After') }
  } catch (error) {
    console.error(`keyctl serve could not be asked: ${error.message}`)
    return { code: 'unavailable' }
  }
}

// requireBearerAuth can answer 401 and 500. A limit and an outage pass through it, without
// scopes, to the second handler.
const guard = [
  (req, res, next) => requireBearerAuth({
    verifier: {
      verifyAccessToken: async token => {
        const v = await verify(token, req)
        const waits = v.code === 'rate_limited' || v.code === 'unavailable'
        if (!v.valid && !waits) throw invalidToken('The key is not valid for this server')
        return {
          token,
          clientId: v.key?.id ?? '',
          scopes: v.allowed ?? [],
          expiresAt: v.lease_expires_at ? Date.parse(v.lease_expires_at) / 1000 : Date.now() / 1000 + 1,
          extra: { key: v.key, code: v.code, retryAfter: v.retry_after ?? 1 },
        }
      },
    },
  })(req, res, next),
  (req, res, next) => {
    const { code, retryAfter } = req.auth.extra
    if (code === 'valid') return next()
    res.set('Retry-After', String(retryAfter)).sendStatus(code === 'rate_limited' ? 429 : 503)
  },
]

// serverFor has the tools that the key grants, and no others.
function serverFor(auth) {
  const server = new McpServer({ name: audience, version: '1.0.0' })
  for (const [name, { description, run }] of Object.entries(tools)) {
    const tool = server.registerTool(name, { description }, () => ({ content: [{ type: 'text', text: run() }] }))
    if (!auth.scopes.includes(scopeOf(name))) tool.remove()
  }
  return server
}

const app = createMcpExpressApp()
