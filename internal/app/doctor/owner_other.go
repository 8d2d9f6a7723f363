//go:build !unix

package doctor

import "strconv"

func ownerOf(string) (uid int, ok bool) { return 0, false }

func userName(uid int) string { return strconv.Itoa(uid) }
