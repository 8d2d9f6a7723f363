// Package remote is a source of keys for verifiers that asks a server, `keyctl serve`: neither
// key store nor pepper is in the guarded program, and the verify key that it holds cannot issue,
// list or change keys. It can only ask whether a secret is valid at its own audience.
//
//	source := remote.New("https://keys.internal:8420", &remote.Options{KeyFile: "/etc/weather/verify.key"})
//	v, err := verifier.New(source, nil)
//
// The verifier remembers keys as with a local source, so most checks ask for nothing. It may do
// so while it has a lease, which lasts two seconds and is renewed twice a second. A change such
// as a revocation waits until each verifier with a lease has dropped the key, or until the lease
// has ended: docs/adr/0012. Without a lease each check asks the server, and is answered with
// 503 if that fails.
//
// The package sends secrets only to the server that was named: over TLS, to a unix socket whose
// listener it knows, or over plain HTTP to this machine if [Options.InsecureHTTP] is set. It
// follows no redirects, and logs no secret.
package remote
