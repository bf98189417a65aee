package main

import (
	"os"
	"testing"

	"orderflow/pkg/devstack/devtest"
)

// TestMain makes the test binary the program itself where it is called as that, by the tests that need a process to start, stop and
// kill. So nothing has to be built, and the program is checked for races whenever the tests are.
func TestMain(m *testing.M) {
	if os.Getenv("ORDERFLOW_TEST_AS_PROGRAM") != "" {
		os.Unsetenv("ORDERFLOW_TEST_AS_PROGRAM") // not for the processes that the program starts
		main()
	}
	devtest.Main(m)
}
