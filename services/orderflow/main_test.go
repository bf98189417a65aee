package main

import (
	"testing"

	"orderflow/pkg/devstack/devtest"
)

func TestMain(m *testing.M) { devtest.Main(m) }
