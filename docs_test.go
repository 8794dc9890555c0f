package house_test

import (
	"regexp"
	"strings"
	"testing"
)

// texts joins the files whose names have both ends.
func texts(t *testing.T, prefix, suffix string) string {
	t.Helper()
	var b strings.Builder
	for name, text := range sources(t) {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) {
			b.Write(text)
		}
	}
	return b.String()
}

// TestProofsExist wants that every test that the documents name is there.
func TestProofsExist(t *testing.T) {
	tests := texts(t, "", "_test.go")
	for _, name := range []string{"docs/guarantees.md", "docs/limits.md"} {
		found := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(texts(t, name, ""), -1)
		if len(found) < 10 {
			t.Errorf("%s names %d tests", name, len(found))
		}
		for _, m := range found {
			if !strings.Contains(tests, "func "+m[1]+"(t *testing.T)") {
				t.Errorf("%s names %s, which does not exist", name, m[1])
			}
		}
	}
}

// TestProvingRowsExist wants the same of the rows of the fault matrix. They stand in italics behind the tests of a promise.
func TestProvingRowsExist(t *testing.T) {
	cells := texts(t, "bench/chaos/", ".go")
	proofs := regexp.MustCompile(`(?s)\n- \*\*Proof\*\*.*?\n(\n|$)`).FindAllString(texts(t, "docs/guarantees.md", ""), -1)
	rows := 0
	for _, proof := range proofs {
		_, proof, _ = strings.Cut(proof, "row")
		for _, m := range regexp.MustCompile(`\*([^*]+)\*`).FindAllStringSubmatch(proof, -1) {
			rows++
			if row := strings.Join(strings.Fields(m[1]), " "); !strings.Contains(cells, `"`+row+`"`) {
				t.Errorf("docs/guarantees.md names the row %q, which does not exist", row)
			}
		}
	}
	if len(proofs) != 8 || rows < 20 {
		t.Errorf("%d proofs with %d rows", len(proofs), rows)
	}
}
