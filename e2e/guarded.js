// A guarded server to point clients at: programs that this repository builds, keyctl
// and examples/mcpserver or another, as real processes on a store of their own,
// with a recorder in front that keeps every exchange as it went over the wire.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const bin = process.env.E2E_BIN
if (!bin) throw new Error('E2E_BIN names no folder with keyctl and mcpserver: run make e2e')

export const dir = mkdtempSync(join(tmpdir(), 'mcpkeys-e2e-'))

// Nothing stays behind, also when the runner gives up on a test or Ctrl-C ends it.
export const leftovers = [() => rmSync(dir, { recursive: true, force: true })]
process.on('exit', () => leftovers.reverse().forEach(end => end()))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

// env is all that programs get of the caller's environment: none of their settings,
// and a home of their own to write to.
export const env = { PATH: process.env.PATH, HOME: dir, NO_COLOR: '1' }

// account are the arguments of keyctl guard that say who runs a command. As root, it needs another user.
export const asRoot = process.getuid() === 0
export const account = asRoot ? ['--user', 'nobody'] : ['--same-user']

// tested adds a row to the table of make e2e-all: what a client did with a server behind keyctl
// guard. A test calls it last, so a row is there only if the test passed.
export function tested(client, server, transport, protocol, what) {
  if (process.env.E2E_TABLE) appendFileSync(process.env.E2E_TABLE, JSON.stringify({ client, server, transport, protocol, what }) + '\n')
}

// all is whether this is make e2e-all: then tests run for each client.
export const all = 'E2E_TABLE' in process.env

// protocolOf is the version that the newest request named.
export const protocolOf = ({ exchanges }) => exchanges.findLast(e => e.request['mcp-protocol-version']).request['mcp-protocol-version']

// secrets are all that were ever issued here, by whichever store.
const secrets = []

// run starts a program, waits for its end and tells {code, stdout, stderr}.
export function run(program, ...args) {
  return new Promise(resolve => execFile(program, args, { env, timeout: 60_000 }, (error, stdout, stderr) =>
    resolve({ code: error ? error.code ?? error.signal : 0, stdout, stderr })))
}

// start starts a program that ends with the tests at the latest.
export function start(program, ...args) {
  const child = spawn(program, args, { env })
  leftovers.push(() => child.kill('SIGKILL'))
  return child
}

// keyStore makes a key store and returns its database, a log, and keyctl and issue for it as
// guarded does.
export async function keyStore() {
  const db = join(dir, `${crypto.randomUUID()}.db`), log = []
  const keyctl = async (...args) => {
    const { code, stdout, stderr } = await run(join(bin, 'keyctl'), ...args, '--db', db)
    log.push(stderr)
    if (code !== 0) throw new Error(`keyctl ${args.join(' ')}: exit ${code}: ${stderr}`)
    return stdout.trim()
  }
  const issue = async (...args) => {
    const secret = await keyctl('issue', ...args)
    secrets.push(secret)
    return secret
  }
  await keyctl('init')
  return { db, log, keyctl, issue }
}

// serve starts keyctl serve on the database of a key store, and returns it and its port.
export async function serve(db, log, ...args) {
  const child = start(join(bin, 'keyctl'), 'serve', '--db', db, '--listen', '127.0.0.1:0', ...args)
  return { child, port: await listening(child, log) }
}

// guarded starts everything and returns
//   url         where clients connect
//   issue(...)  makes a key, with keyctl's own arguments, and returns its secret
//   revoke(...) revokes keys, from another process than the server's
//   keyctl(...) runs any command of keyctl on the server's store, and returns its stdout
//   exchanges   {method, path, request, sent, status, response, body}, oldest first;
//               request and response are the headers, sent and body what follows them
//   log         what the programs wrote, but for the secrets on keyctl's stdout
//   leaks()     pieces of secrets that stand in the log or in an answer
//   stop()      ends the server, which must do so by itself and with code 0
//
// With guard, arguments that say what to guard, the server is keyctl guard. pid is that of the server.
export async function guarded({ audience = '', program = 'mcpserver', guard } = {}) {
  const exchanges = []
  const { db, log, keyctl, issue } = await keyStore()
  const server = guard
    ? start(join(bin, 'keyctl'), 'guard', '--db', db, '--listen', '127.0.0.1:0', '--audience', audience, ...guard)
    : start(join(bin, program), '--db', db, '--addr', '127.0.0.1:0', '--audience', audience)
  const ended = once(server, 'exit')
  const recorder = await record(await listening(server, log), exchanges)
  return {
    url: new URL(`http://127.0.0.1:${recorder.address().port}/mcp`),
    pid: server.pid,
    log,
    exchanges,
    issue,
    revoke: (...names) => keyctl('revoke', ...names, '--yes'),
    keyctl,
    leaks: () => leaks(written(log, exchanges)),
    stop: async () => {
      recorder.close()
      recorder.closeAllConnections()
      server.kill('SIGTERM')
      const [code] = await ended
      if (code !== 0) throw new Error(`the server ended with ${code}:\n${log.join('')}`)
    },
  }
}

// recipe runs keyctl serve, and an MCP server made of code blocks of docs/other-languages.md, which
// asks it through a recorder. parts are the numbers of the blocks in the section, and audience
// is the one that the page has; edit may change the program. It returns what guarded returns; exchanges are those with
// keyctl serve, and endKeys() ends it.
export async function recipe(section, parts, audience, edit = text => text) {
  const folder = join(dir, crypto.randomUUID())
  mkdirSync(folder)
  const here = dirname(fileURLToPath(import.meta.url))
  symlinkSync(join(here, 'node_modules'), join(folder, 'node_modules'))
  const db = join(folder, 'keys.db'), verifyKey = join(folder, 'verify.key')
  const log = [], exchanges = []
  const keyctl = async (...args) => {
    const { code, stdout, stderr } = await run(join(bin, 'keyctl'), ...args, '--db', db)
    log.push(stderr)
    if (code !== 0) throw new Error(`keyctl ${args.join(' ')}: exit ${code}: ${stderr}`)
    return stdout.trim()
  }
  await keyctl('init')
  await keyctl('issue', 'verifier', '--admin', '--scope', 'verify', '--audience', audience, '--out-file', verifyKey)
  secrets.push(readFileSync(verifyKey, 'utf8').trim())

  const programs = []
  const start = (program, args, options) => {
    const process = spawn(program, args, options)
    leftovers.push(() => process.kill('SIGKILL'))
    programs.push([process, once(process, 'exit')])
    return process
  }
  const keys = start(join(bin, 'keyctl'), ['serve', '--db', db, '--listen', '127.0.0.1:0'], { env })
  const recorder = await record(await listening(keys, log), exchanges)

  const page = readFileSync(join(here, '../docs/other-languages.md'), 'utf8')
  const blocks = page.split(`\n## ${section}\n`)[1].split('\n## ')[0].split('```js\n').slice(1).map(text => text.split('```')[0])
  const asked = 'http://127.0.0.1:8420'
  const program = edit(parts.map(i => blocks[i]).join('\n'))
  if (program.split(asked).length !== 2) throw new Error(`${asked} must be once in the recipe:\n${program}`)
  writeFileSync(join(folder, 'server.mjs'), program.replace(asked, `http://127.0.0.1:${recorder.address().port}`))
  const server = start(process.execPath, [join(folder, 'server.mjs')], { env: { ...env, PORT: '0', MCPKEYS_VERIFY_KEY_FILE: verifyKey } })

  const endKeys = async () => {
    recorder.close()
    recorder.closeAllConnections()
    keys.kill('SIGKILL')
    await programs[0][1]
  }
  return {
    url: new URL(`http://127.0.0.1:${await listening(server, log, /^listening on (\d+)$/m)}/mcp`),
    log, exchanges, keyctl, endKeys,
    issue: async (...args) => {
      const secret = await keyctl('issue', ...args)
      secrets.push(secret)
      return secret
    },
    leaks: () => leaks(written(log, exchanges)),
    stop: async () => {
      await endKeys()
      server.kill('SIGTERM')
      await programs[1][1]
    },
  }
}

// written is all that a log and the answers hold.
function written(log, exchanges) {
  return log.join('') + exchanges.map(e => e.body + JSON.stringify(e.response)).join('\n')
}

// leaks are the pieces of secrets that stand in a text.
export function leaks(text) {
  return secrets.flatMap(pieces).filter(piece => text.includes(piece))
}

// pieces cuts the secret half of a key into runs of eight characters: already one
// of them in a log is a leak. The id before it is public.
function pieces(secret) {
  const half = secret.split('_')[2]
  return Array.from({ length: half.length - 7 }, (_, i) => half.slice(i, i + 8))
}

// listening waits for the log line that names the port.
function listening(server, log, line = /msg=listening url=http:\/\/127\.0\.0\.1:(\d+)[/\n]/) {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.once('exit', () => reject(new Error(`the server did not start:\n${log.join('')}`)))
    const own = []
    for (const stream of [server.stdout, server.stderr]) {
      stream.on('data', text => {
        log.push(String(text))
        own.push(String(text))
        const found = own.join('').match(line)
        if (found) resolve(Number(found[1]))
      })
    }
  })
}

// record hands every request on to port as it came, from a free port of its own, and
// keeps both sides of the exchange.
async function record(port, exchanges) {
  const recorder = http.createServer((req, res) => {
    const { method, url: path, headers } = req
    const exchange = { method, path, request: headers, sent: '', response: {}, body: '' }
    exchanges.push(exchange)
    const onward = http.request({ host: '127.0.0.1', port, method, path, headers }, answer => {
      exchange.status = answer.statusCode
      exchange.response = answer.headers
      answer.on('data', chunk => { exchange.body += chunk.toString('latin1') }) // a character is a byte
      res.writeHead(answer.statusCode, answer.headers)
      res.flushHeaders() // a stream begins before its first event
      answer.pipe(res)
    })
    req.on('data', chunk => { exchange.sent += chunk.toString('latin1') })
    onward.on('error', () => res.destroy())
    res.on('close', () => onward.destroy())
    req.pipe(onward)
  })
  recorder.listen(0, '127.0.0.1')
  await once(recorder, 'listening')
  return recorder
}
