package redact_test

import (
	"strings"
	"testing"

	"syncgate/internal/redact"
)

func TestText(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := redact.Text(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	f("", "")
	f("Conveyor 7 is not active", "Conveyor 7 is not active")
	f(`no task with ref "order 7", sorry`, `no task with ref "...", sorry`)
	f("task 123e4567-e89b-12d3-a456-426614174000 is gone", "task 123e4567-e89b-12d3-a456-426614174000 is gone")
	f("at http://host/api/1/plugins/callback/"+strings.Repeat("a", 67)+" now", "at http:... now")
	f("secret="+strings.Repeat("0f", 20)+"!", "...!")
	f("two\nlines\u202eand\x00more", "two lines and more")
	f(strings.Repeat("long ", 100), strings.Repeat("long ", 32)+"...")
}
