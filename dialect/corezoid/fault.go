package corezoid

import (
	"errors"
	"fmt"
	"strings"

	"syncgate/internal/splice"
)

// withoutBytes words an error about what an engine sent without any of its bytes, as they may hold a callback token: it says
// where, and of which kind.
func withoutBytes(err error) error {
	bad, ok := errors.AsType[*splice.Error](err)
	if !ok {
		return err // ours, which quote nothing
	}
	problem := bad.Problem
	if quoted := strings.IndexAny(problem, "'\"`"); quoted >= 0 {
		problem = strings.TrimRight(problem[:quoted], " (")
	}
	return fmt.Errorf("at byte %d: %s", bad.Offset, problem)
}
