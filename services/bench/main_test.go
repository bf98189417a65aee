package bench

import (
	"testing"

	"orderflow/pkg/devstack/devtest"
)

func TestMain(m *testing.M) { devtest.Main(m) }
