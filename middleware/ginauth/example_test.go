package ginauth_test

import (
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/ginauth"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

func ExampleRequire() {
	db, key, cleanup := guardtest.ExampleStore("weather", "reports:read")
	defer cleanup()
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	handle := func(c *gin.Context) {
		id, _ := keys.IdentityFrom(c.Request.Context())
		c.String(http.StatusOK, "reports for %s", id.Name())
	}

	st, err := sqlite.OpenVerifier(db, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	v, err := verifier.New(local.New(st, nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close() // records the use of the last seconds
	guard := middleware.New(v, &middleware.Options{Audience: "weather", Logger: slog.Default()})
	r.GET("/reports", ginauth.Require(guard, "reports:read"), handle)

	req := httptest.NewRequest(http.MethodGet, "/reports", nil)
	req.Header.Set("X-API-Key", key)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	fmt.Println(w.Code, w.Body)
	// Output:
	// 200 reports for example
}
