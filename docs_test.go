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
		for _, m := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(texts(t, name, ""), -1) {
			if !strings.Contains(tests, "func "+m[1]+"(t *testing.T)") {
				t.Errorf("%s names %s, which does not exist", name, m[1])
			}
		}
	}
}

// TestUpgradingKnowsTheFormatOfRedis wants that the document on upgrades names the format of what nodes share: a new number has to be explained there.
func TestUpgradingKnowsTheFormatOfRedis(t *testing.T) {
	m := regexp.MustCompile(`wireVersion = "(\d+)"`).FindStringSubmatch(texts(t, "correlator/redis/", ".go"))
	if m == nil {
		t.Fatal("correlator/redis has no wireVersion")
	}
	if page := texts(t, "docs/upgrading.md", ""); !strings.Contains(page, "`syncgate:"+m[1]+":...`") {
		t.Errorf("docs/upgrading.md does not name the format of Redis, %s", m[1])
	}
}
