// Package ctxkey has the keys of a request's values in its context: [Identity] for package
// keys, [RequestID] for keys/requestid, whose Context has both values. Packages
// outside keys use keys.NewContext and requestid.With.
package ctxkey

// Identity is the key of a request's identity.
type Identity struct{}

// RequestID is the key of a request's id.
type RequestID struct{}
