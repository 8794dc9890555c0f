package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain makes the test binary the program itself when a script runs syncgate.
func TestMain(m *testing.M) {
	testscript.Main(noLeaks{m}, map[string]func(){"syncgate": main})
}

// noLeaks wants that no goroutine outlives the tests.
type noLeaks struct{ *testing.M }

func (m noLeaks) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
