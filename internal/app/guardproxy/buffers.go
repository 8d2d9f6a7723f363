package guardproxy

import "sync"

// copyBuffers are what a reverse proxy copies answers with: without a pool it allocates 32 KiB for each
// call, most of the memory that a call takes.
var copyBuffers buffers

const copySize = 32 << 10

type buffers struct{ pool sync.Pool }

// Get implements [net/http/httputil.BufferPool].
func (b *buffers) Get() []byte {
	if one, ok := b.pool.Get().(*[copySize]byte); ok {
		return one[:]
	}
	return new([copySize]byte)[:]
}

// Put implements [net/http/httputil.BufferPool]. The buffer is one of Get.
func (b *buffers) Put(one []byte) { b.pool.Put((*[copySize]byte)(one)) }
