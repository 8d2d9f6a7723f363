// better-auth's api-key plugin on SQLite, in this process: no HTTP on the way. It
// makes 1,000 keys in the directory named as the argument, prints its versions as a
// line of JSON, and then answers each line on stdin, a number of seconds, with a line
// of JSON: how many verifyApiKey calls came to an end in that time, and how long one
// took.
//
// Its settings are the kindest that its documentation offers: the rate limit is off
// (it is ten calls a day by default), SQLite writes ahead and syncs at checkpoints
// only, and nothing is logged.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { apiKey } from '@better-auth/api-key'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'

const keyCount = 1000

const database = new DatabaseSync(join(process.argv[2], 'better-auth.db'))
database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
const options = {
	database,
	secret: 'only-for-a-benchmark-on-this-machine',
	baseURL: 'http://localhost',
	logger: { disabled: true },
	telemetry: { enabled: false },
	emailAndPassword: { enabled: true },
	plugins: [apiKey({ rateLimit: { enabled: false } })],
}
await (await getMigrations(options)).runMigrations()
const auth = betterAuth(options)

const { user } = await auth.api.signUpEmail({ body: { email: 'bench@example.com', password: 'a long password', name: 'bench' } })
const keys = []
for (let i = 0; i < keyCount; i++) {
	const body = { name: `key-${i}`, userId: user.id, expiresIn: 90 * 86400, permissions: { tools: ['get_forecast', 'search'] } }
	keys.push((await auth.api.createApiKey({ body })).key)
}

const version = (name) => JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version
console.log(JSON.stringify({
	node: process.version,
	sqlite: process.versions.sqlite,
	betterAuth: version('better-auth'),
	apiKey: version('@better-auth/api-key'),
}))

let next = 0
for await (const line of createInterface({ input: process.stdin })) {
	console.log(JSON.stringify(await run(Number(line) * 1000)))
}

async function run(milliseconds) {
	const took = []
	const begin = performance.now()
	let now = begin
	while (now - begin < milliseconds) {
		const { valid, error } = await auth.api.verifyApiKey({ body: { key: keys[next++ % keyCount], permissions: { tools: ['get_forecast'] } } })
		if (!valid) throw new Error(`verifyApiKey refused a good key: ${error?.message}`)
		const then = now
		now = performance.now()
		took.push(now - then)
	}
	took.sort((a, b) => a - b)
	return { calls: took.length, seconds: (now - begin) / 1000, p50: took[took.length >> 1] * 1000 }
}
