package keys

// Bounds that tests go up to and one beyond.
const (
	MaxScope     = maxScope
	MaxRequestID = maxRequestID
)
