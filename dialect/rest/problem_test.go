package rest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
)

// TestErrorPages compares the types of problems with the pages about them.
func TestErrorPages(t *testing.T) {
	const dir = "../../docs/errors/"
	index, err := os.ReadFile(dir + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(dir + "*.md")
	if err != nil || len(pages) != len(kinds())+1 {
		t.Errorf("%d pages and %d types, %v", len(pages)-1, len(kinds()), err)
	}
	for _, k := range kinds() {
		page, err := os.ReadFile(dir + k.name + ".md")
		if err != nil {
			t.Error(err)
			continue
		}
		for _, want := range []string{"# " + k.title + "\n", "Type `/errors/" + k.name + "`, status ", "## What it means", "## What to do"} {
			if !strings.Contains(string(page), want) {
				t.Errorf("%s: no %q", k.name, want)
			}
		}
		if !strings.Contains(string(index), "| ["+k.name+"]("+k.name+".md) | ") || !strings.Contains(string(index), " | "+k.title+" |") {
			t.Errorf("README.md: no row of %s", k.name)
		}
	}
}

// TestTypesOfFaults: every fault has a type that there is, and no status that a client can hear is an internal error by mistake.
func TestTypesOfFaults(t *testing.T) {
	seen := make(map[string]bool)
	reasons := []dialect.Reason{
		"", dialect.BadBody, dialect.BadEncoding, dialect.BodySize, dialect.HeadSize, dialect.BadRequest, dialect.TooSlow, dialect.BadKey, dialect.BadSignature, dialect.BadTime,
		dialect.BadOrigin, dialect.BadSubscription, dialect.UnknownPath, dialect.UnknownMethod, dialect.ForgedName, dialect.NothingKept, dialect.LoginParked, dialect.LoginRate, dialect.RouteParked,
		dialect.RouteRate, dialect.NodeParked, dialect.NodeFiles, dialect.NodeBodies, dialect.NodeResults, dialect.EngineBusy, dialect.EngineUnreachable, dialect.EngineUnusable,
		dialect.CorrelatorDown, dialect.Draining, dialect.InternalError, dialect.BadStatus,
	}
	for _, reason := range reasons {
		for _, status := range []int{400, 401, 403, 404, 405, 406, 408, 409, 410, 413, 415, 422, 429, 431, 500, 502, 503, 504} {
			name := typeOf(&dialect.Fault{Status: status, Reason: reason})
			seen[name] = true
			if title(name) == "" || name == "internal" && status != fasthttp.StatusInternalServerError {
				t.Errorf("%d %s: %q", status, reason, name)
			}
		}
	}
	for _, made := range []string{"engine-error", "cancelled"} { // by answers, and no faults
		seen[made] = true
	}
	for _, k := range kinds() {
		if !seen[k.name] {
			t.Errorf("nothing has the type %s", k.name)
		}
	}
}
