const handle = toNodeHandler(createMcpHandler(({ authInfo }) => serverFor(authInfo)))
app.all('/mcp', guard, (req, res) => handle(req, res, req.body))
const listener = app.listen(process.env.PORT ?? 8421, '127.0.0.1', () => console.log(`listening on ${listener.address().port}`))
