package keys

// Scheme says how a stored secret is verified: [SchemeHMAC], or the hash that an imported
// key came with.
type Scheme string

// The schemes. Those of imported keys follow the first: the fast ones are kept under a
// pepper, so that guesses cannot be tried against a copy of the database; the slow ones as
// they are.
const (
	// SchemeHMAC is HMAC-SHA-256 under a pepper: what every issued key uses. A slow
	// hash would add nothing, because it only slows guessing, and 178 random bits are
	// not guessed at any speed (NIST SP 800-63B sets the line at 112).
	SchemeHMAC Scheme = "hmac-sha256"

	SchemeSHA256   Scheme = "sha256"
	SchemeSHA512   Scheme = "sha512"
	SchemeBcrypt   Scheme = "bcrypt"
	SchemeArgon2id Scheme = "argon2id"

	// SchemeAfterBar is SHA-256 of the token after its first |, as in Laravel Sanctum. The
	// part before it is the key's id there, and part of the token here.
	SchemeAfterBar Scheme = "sha256-after-bar"
)

// Slow reports whether one check with s takes milliseconds of a core. Callers must limit
// how many run at once.
func (s Scheme) Slow() bool { return s == SchemeBcrypt || s == SchemeArgon2id }
