package keys

// Limits that tests reach and exceed by one.
const (
	MaxScope     = maxScope
	MaxRequestID = maxRequestID
)
