package bench

import (
	"os"
	"testing"

	"orderflow/pkg/devstack/devtest"
)

// TestMain makes the test binary a shop where it is called as one: what is measured is not to share a process with what it asks.
func TestMain(m *testing.M) {
	if os.Getenv(asShop) != "" {
		serveShop()
	}
	devtest.Main(m)
}
