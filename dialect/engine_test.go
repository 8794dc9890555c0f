package dialect_test

import (
	"strings"
	"testing"

	"syncgate/dialect"
)

// An id that was cut is none: two ids with the same beginning would be one name.
func TestEngineTaskThatIsCut(t *testing.T) {
	fits, long := strings.Repeat("a", 36), strings.Repeat("a", 37)
	for id, want := range map[string]string{"": "", "17": "17", fits: fits, long: "", long + "b": ""} {
		if got := dialect.NewEngineTask([]byte(id)).Whole(); got != want {
			t.Errorf("%q: whole %q, want %q", id, got, want)
		}
	}
	if task := dialect.NewEngineTask([]byte(long)); string(task.Bytes()) != fits {
		t.Errorf("operators see %q", task.Bytes())
	}
}
