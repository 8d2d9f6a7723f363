// Package guardproxy is `keyctl guard`.
package guardproxy

const (
	fieldUpstream   = "upstream"
	fieldHeaderFile = "upstream_header_file"
)
