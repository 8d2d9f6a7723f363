package stdio

// OpenCalls returns the number of requests that no MCP server has answered.
func (b *Backend) OpenCalls() (n int) {
	for _, s := range b.sessions(func(*session) bool { return true }) {
		s.mu.Lock()
		n += len(s.calls)
		s.mu.Unlock()
	}
	return n
}

// Children returns the number of places that are taken.
func (b *Backend) Children() int { return len(b.sessions(func(*session) bool { return true })) }

// Find returns the program that o starts if PATH is path.
func Find(o Options, path string) (program string, err error) {
	if o, err = o.find(path); err != nil {
		return "", err
	}
	return o.Command[0], nil
}
