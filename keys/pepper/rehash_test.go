package pepper_test

import (
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// A secret is re-hashed when it was made with a pepper that is not the current one, and
// never for a revoked key.
func TestWhatIsRehashed(t *testing.T) {
	old := mustGenerate(t)
	k, token := keyOf(old)
	peppers := mustAdd(t, old)
	fresh, freshToken := keyOf(peppers)
	revoked := *k
	revoked.RevokedAt = time.Now()
	foreign := k.Secrets[0]
	foreign.Scheme = "of another kind"
	for _, c := range []struct {
		name   string
		key    *keys.Key
		secret *keys.KeySecret
		token  keys.Secret
		want   bool
	}{
		{"an old pepper's", k, &k.Secrets[0], token, true},
		{"the current pepper's", fresh, &fresh.Secrets[0], freshToken, false},
		{"a revoked key's", &revoked, &revoked.Secrets[0], token, false},
		{"an unknown scheme's", k, &foreign, token, false},
	} {
		job := peppers.Rehash(c.key, c.secret, c.token)
		if (job != nil) != c.want {
			t.Errorf("Rehash of %s secret: got %v, want a job: %v", c.name, job, c.want)
		}
		if job != nil && (job.KeyID() != k.ID || job.Secret() != 1) {
			t.Errorf("Rehash: got key %s, secret %d", job.KeyID(), job.Secret())
		}
	}
}
