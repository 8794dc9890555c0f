package splice_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"syncgate/internal/splice"
)

// What is said of a text without its bytes has where and of which kind the problem is, and nothing of the text.
func TestWithoutBytes(t *testing.T) {
	var r splice.Reader
	err := r.Reset([]byte(`{"a":hunter2}`))
	for err == nil {
		_, err = r.Value()
	}
	said := splice.WithoutBytes(fmt.Errorf("read it: %w", err)).Error()
	if strings.Contains(said, "hunter") || !strings.HasPrefix(said, "at byte 5: ") {
		t.Errorf("%v became %s", err, said)
	}
	if other := errors.New(`says "hunter2"`); !errors.Is(splice.WithoutBytes(other), other) {
		t.Error("an error of another kind is changed")
	}
}
