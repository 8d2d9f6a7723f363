package guardproxy

import "net/url"

// ParseUpstream is what a server's upstream is read with.
func ParseUpstream(text string, hasCredential bool) (to *url.URL, socket string, err error) {
	return parseUpstream(text, hasCredential)
}
