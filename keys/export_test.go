package keys

// MaxScope is a limit that tests reach and exceed by one.
const MaxScope = maxScope
