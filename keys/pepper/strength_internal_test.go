package pepper

import (
	"strings"
	"testing"
)

// Which tokens keep their slow hash, and which move to HMAC at their first use.
func TestIsStrong(t *testing.T) {
	for token, want := range map[string]bool{
		"3ZJ9vYkQ0hW2mRbT7xLsN4":                               true,  // unkey: 16 bytes in base58
		"acme_3ZJ9vYkQ0hW2mRbT7xLsN4":                          true,  // with a prefix
		"sk_live_" + strings.Repeat("a1", 10):                  false, // a prefix adds nothing
		"qWvGzUKHoJXnEbTRmYdLcFsAiPpMxNkBtDgZrVhOyeSlCaQwIuJf": true,  // better-auth: letters only
		"550e8400-e29b-41d4-a716-446655440000":                 true,  // a UUID, if it is random
		"0123456789abcdef0123456789ab":                         true,  // 112 bits of hex
		"0123456789abcdef0123456789a":                          false,
		"api01.mycustomapikey":                                 false, // Spring's own example
		"3ZJ9vYkQ0hW2mRbT7xLsN4.short":                         false, // the id is public
		"short.3ZJ9vYkQ0hW2mRbT7xLsN4":                         true,
		strings.Repeat("a", 200):                               false,
		strings.Repeat("0123456789", 3):                        false,
		"1234567890123456789012345678901234":                   true, // 34 digits
		"password":                                             false,
		"":                                                     false,
		".":                                                    false,
		"a_b_c_d_e_f_g_h_i_j_k_l_m_n_o_p_q_r_s_t_u_v_w_x_y_z_a": false,
	} {
		if got := isStrong(token); got != want {
			t.Errorf("isStrong(%q): got %v, want %v", token, got, want)
		}
	}
}
