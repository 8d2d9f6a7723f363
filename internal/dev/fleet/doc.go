// Package fleet tests the promise that spans hosts: when a revocation returns, no guard accepts
// the key in a request that starts later, on any host, whatever happens to servers, guards and
// the network. Its test runs `keyctl serve`, guards in processes of their own that check keys
// without pause, and revokes keys while servers and guards are stopped, killed and cut off.
//
// `make slow` has a short form, in which a relay stands for the network; in `make soak` each
// guard is in a network namespace of its own, which takes root.
package fleet
