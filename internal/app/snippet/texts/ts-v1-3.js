app.post('/mcp', guard, async (req, res) => {
  const server = serverFor(req.auth)
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined })
  res.on('close', () => server.close())
  await server.connect(transport)
  await transport.handleRequest(req, res, req.body)
})
app.all('/mcp', (req, res) => res.set('Allow', 'POST').sendStatus(405))
const listener = app.listen(process.env.PORT ?? 8421, '127.0.0.1', () => console.log(`listening on ${listener.address().port}`))
