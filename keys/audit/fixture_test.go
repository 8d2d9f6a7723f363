package audit_test

import "time"

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)
