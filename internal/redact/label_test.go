package redact_test

import (
	"testing"

	"syncgate/internal/redact"
)

func TestLabels(t *testing.T) {
	f := func(value, want string, most int) {
		t.Helper()
		got := string(redact.AppendLabel(nil, []byte(value), most))
		if got != want || len(got) > most {
			t.Errorf("%s becomes %q (%d bytes), want %q", value, got, len(got), want)
		}
	}
	f(`null`, "", 10)
	f(``, "", 10)
	f(`""`, "", 10)
	f(`1234`, "1234", 10)
	f(`"a\"b"`, `a"b`, 10)
	f(`"a\nb"`, `a\u000ab`, 10)
	f(`"a\nb"`, `a...`, 7)
	f(`"1234567890"`, "1234567890", 10)
	f(`"12345678901"`, "1234567...", 10)
	f(`"ééééé"`, "ééééé", 10)
	f(`"éééééé"`, "ééé...", 10)
	f(`"cut here`, "cut here", 10)
	f(`"cut\`, `cut\`, 10)
	f("\"\xff\"", `\ufffd`, 10)
}
