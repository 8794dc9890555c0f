// Package house_test holds the rules of this repository that need the whole of it; those for a single file are in .golangci.yml.
package house_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// arrow says what a package may import, tests aside, and why not more.
type arrow struct {
	ours    []string // packages of this module; "*": any
	outside []string // modules, or parts of them; "*": any
	why     string
}

const (
	jsontext = "github.com/go-json-experiment/json/jsontext"
	fasthttp = "github.com/valyala/fasthttp"
)

func arrows() map[string]arrow {
	all := map[string]arrow{
		"signer":                    {nil, nil, "it is pure: what it says depends on its arguments alone"},
		"correlator":                {[]string{"internal/timerwheel"}, nil, "the table of who waits knows nothing of what they wait for"},
		"correlator/correlatortest": {[]string{"correlator"}, nil, "a contract knows none of those who are to fulfil it"},
		"correlator/redis": {
			[]string{"correlator", "internal/nowait"}, []string{"github.com/redis/go-redis/v9", "golang.org/x/sys/unix"}, "it shares the table and not the gateway",
		},
		"gateway": {
			[]string{"correlator", "correlator/retryqueue", "dialect", "signer", "internal/admin", "internal/cancelqueue", "internal/cors", "internal/eventstream", "internal/httpfield", "internal/httpserver", "internal/median", "internal/metrics", "internal/partner", "internal/quota", "internal/redact", "internal/setting", "internal/taskmeta", "internal/tlsfiles", "internal/upstream", "internal/whereabouts"},
			[]string{fasthttp, "github.com/rs/zerolog", "github.com/prometheus/client_golang"},
			"the trip is the same whatever dialect clients speak, whatever engine works, and wherever the table is; it knows no socket",
		},
		"notify": {
			[]string{"correlator", "signer"},
			[]string{"code.dny.dev/ssrf", "github.com/redis/go-redis/v9", "github.com/rs/zerolog", "github.com/prometheus/client_golang"},
			"it delivers bytes to URLs, and does not know what they are about",
		},
		"internal/enginesim":  {[]string{"signer"}, []string{fasthttp, jsontext}, "it is the other side of the wire: shared code would share its mistakes"},
		"internal/promises":   {[]string{"internal/enginesim"}, nil, "it judges by what both sides of the gateway have seen, and knows nothing of the gateway"},
		"internal/hooksim":    {[]string{"internal/promises"}, nil, "it is the other side of the wire: it keeps what it had, and does not know who sent it"},
		"internal/faultproxy": {nil, nil, "it passes bytes on and knows nothing of what they mean"},
		"internal/otlptest":   {nil, []string{"go.opentelemetry.io/proto/slim/otlp", "google.golang.org/protobuf"}, "it is a collector for anybody's tests, and does not know who sends"},
		"internal/tlstest":    {nil, nil, "it makes certificates for anybody's tests"},
		"internal/wiretest":   {nil, []string{fasthttp}, "it makes what anybody's tests send"},
		"internal/freeport":   {nil, nil, "it finds ports, and does not know for whom"},
		"internal/redistest":  {[]string{"internal/freeport"}, []string{"github.com/redis/go-redis/v9"}, "it starts processes for anybody's tests"},
		"configs": {
			[]string{"dialect", "gateway", "internal/cors", "internal/setting", "internal/tlsfiles", "internal/tracing", "signer", "correlator", "correlator/redis", "dialect/corezoid", "dialect/httpengine", "dialect/metrici", "dialect/os1", "dialect/rest", "dialect/waiter", "notify"},
			[]string{"go.yaml.in/yaml/v4"},
			"it composes the sections of others, and only cmd sees the whole",
		},
		"web": {nil, []string{fasthttp}, "it shows what the admin listener says, and asks nobody else"},
		"openapi": {
			[]string{"configs", "dialect", "dialect/httpengine", "dialect/metrici", "dialect/rest", "internal/setting"},
			[]string{"go.yaml.in/yaml/v4"},
			"it describes what a configuration says, and serves nobody; it has earned its place as no dialect knows the whole of that",
		},
		"cmd/syncgate": {[]string{"*"}, []string{"*"}, "it wires everything"},
		"bench":        {[]string{"internal/enginesim", "internal/faultproxy", "internal/freeport", "internal/hooksim", "internal/promises", "signer"}, []string{"*"}, "it measures the program from the outside"},
	}
	maps.Copy(all, dialectArrows())
	maps.Copy(all, roomArrows())
	maps.Copy(all, serverArrows())
	return all
}

// dialectArrows are those of the packages that know one convention each.
func dialectArrows() map[string]arrow {
	words := []string{"dialect", "correlator", "signer", "internal/httpfield", "internal/splice"} // what wording takes
	return map[string]arrow{
		"dialect": {
			[]string{"correlator", "signer"}, []string{fasthttp}, "it says what dialects and engines do, and does not know who asks them",
		},
		"dialect/corezoid": {
			append([]string{"dialect/waiter", "internal/callbackdata"}, words...),
			[]string{fasthttp, jsontext},
			"a dialect words requests and answers, and parks nobody; this one also knows which of its ops are completed by name",
		},
		"dialect/doctor": {
			[]string{"correlator", "dialect", "internal/httpfield", "internal/probe"}, []string{fasthttp}, "it answers probes, and parks nobody",
		},
		"dialect/httpengine": {
			words, []string{fasthttp, jsontext}, "an engine words requests and reads answers, and parks nobody",
		},
		"dialect/os1": {
			append([]string{"dialect/httpengine"}, words...),
			[]string{fasthttp, "github.com/go-json-experiment/json"},
			"it words both sides of one convention: its engine is one of plain HTTP with other words, and what clients send is parked elsewhere",
		},
		"dialect/metrici": {
			append([]string{"dialect/httpengine", "internal/callbackdata"}, words...),
			[]string{fasthttp, jsontext, "github.com/sosodev/duration"},
			"it words an engine's convention and reads who reports; the gateway keeps what is reported, and waits",
		},
		"dialect/rest": {
			append([]string{"dialect/os1", "internal/setting", "notify"}, words...),
			[]string{fasthttp, "github.com/go-json-experiment/json", "github.com/santhosh-tekuri/jsonschema/v6"},
			"a dialect words requests and answers, and parks nobody; this one words notifications as well, and hands them over to be sent",
		},
		"dialect/waiter": {
			[]string{"correlator", "dialect", "internal/httpfield", "internal/webhook", "signer"},
			[]string{fasthttp, jsontext, "github.com/rs/zerolog", "github.com/prometheus/client_golang"},
			"it finds the op that a name means; who waits for that op is the gateway's, and how a sender words a callback another's",
		},
	}
}

// roomArrows are those of the packages around the trip, each of which knows one thing.
func roomArrows() map[string]arrow {
	return map[string]arrow{
		"correlator/retryqueue": {[]string{"correlator"}, nil, "it saves records, and does not know whose they are"},
		"internal/admin": {
			[]string{"internal/httpfield", "internal/httpserver", "internal/whereabouts"},
			[]string{fasthttp, "github.com/prometheus/client_golang"},
			"it shows what it is given, and serves no client",
		},
		"internal/callbackdata": {[]string{"internal/splice"}, []string{fasthttp}, "it reads formats, and does not know who calls back, or about what"},
		"internal/cancelqueue": {
			[]string{"internal/redact", "internal/upstream"}, []string{fasthttp, "github.com/rs/zerolog"}, "it repeats requests, and does not know what a task is",
		},
		"internal/cors":   {[]string{"internal/setting"}, []string{fasthttp}, "it knows origins, and not what they ask for"},
		"internal/edge":   {[]string{"internal/probe"}, nil, "it sends probes and sees what becomes of them, and does not know who asks"},
		"internal/probe":  {nil, nil, "it is what two programs say to each other, and knows neither"},
		"internal/median": {nil, nil, "it knows durations, and not what they are for"},
		"internal/metrics": {
			[]string{"internal/httpserver", "internal/upstream"}, []string{"github.com/prometheus/client_golang"}, "it counts, and does not know what is done about it",
		},
		"internal/nowait": {nil, []string{"golang.org/x/sys/unix"}, "it asks the system, and does not know why"},
		"internal/partner": {
			[]string{"correlator", "dialect", "internal/httpserver"}, []string{fasthttp, "github.com/rs/zerolog"}, "it calls others' code and ends its panics, and parks nobody",
		},
		"internal/quota":      {nil, []string{"golang.org/x/time/rate"}, "it counts by name, and does not know whose names they are"},
		"internal/redact":     {nil, nil, "it cleans words, and does not know where they are shown"},
		"internal/setting":    {nil, nil, "it knows what a value may be, and not what it is for"},
		"internal/splice":     {nil, []string{jsontext}, "it edits bytes, and does not know what they mean"},
		"internal/taskmeta":   {nil, nil, "it is what stores hold of a task, and does not know who asks for it"},
		"internal/timerwheel": {nil, nil, "it knows times, and not what they end"},
		"internal/tlsfiles": {
			nil,
			[]string{"github.com/rs/zerolog", "github.com/prometheus/client_golang"},
			"it reads certificates, and does not know who listens with them",
		},
		"internal/tracing": {
			[]string{"correlator", "gateway", "internal/httpfield", "internal/httpserver", "internal/redact", "internal/setting", "signer"},
			[]string{fasthttp, "github.com/prometheus/client_golang", "github.com/redis/go-redis/v9", "github.com/rs/zerolog", "go.opentelemetry.io/proto/slim/otlp", "google.golang.org/protobuf"},
			"it records what the gateway says of its trips, and changes nothing of them: all that is OpenTelemetry's is here",
		},
		"internal/webhook": {
			[]string{"internal/callbackdata", "internal/httpfield", "internal/setting", "internal/splice", "signer"},
			[]string{fasthttp, jsontext},
			"it reads and verifies what senders send, and does not know what it completes",
		},
		"internal/whereabouts": {[]string{"correlator", "internal/redact"}, nil, "it remembers facts, and does not know how they came about"},
	}
}

// serverArrows are those of the packages under the trip: sockets, HTTP and connections to engines.
func serverArrows() map[string]arrow {
	return map[string]arrow{
		"internal/eventloop": {[]string{"internal/nowait", "internal/timerwheel"}, []string{"golang.org/x/sys/unix"}, "it watches sockets, and knows no protocol but TLS"},
		"internal/eventstream": {
			[]string{"internal/httpserver", "internal/timerwheel"},
			[]string{fasthttp, "github.com/prometheus/client_golang"},
			"it sends events, and does not know what they say",
		},
		"internal/httpserver": {
			[]string{"internal/eventloop"},
			[]string{fasthttp, "github.com/rs/zerolog", "github.com/pires/go-proxyproto", "golang.org/x/sys/unix"},
			"it reads and answers requests, and knows no trip, route, token or fault",
		},
		"internal/httpfield": {nil, []string{fasthttp}, "it reads fields of HTTP, and does not know what they are for"},
		"internal/upstream": {
			[]string{"internal/eventloop"},
			[]string{fasthttp, "github.com/sony/gobreaker/v2", "github.com/rs/zerolog"},
			"it sends requests and reads answers, and does not know what they are about",
		},
	}
}

func TestArrows(t *testing.T) {
	table := arrows()
	for pkg, imports := range packages(t) {
		name := pkg
		if strings.HasPrefix(pkg, "bench/") {
			name = "bench"
		}
		a, ok := table[name]
		if !ok {
			t.Errorf("%s is not in the table of arrows: say what it may import, and why it has earned its place", pkg)
		}
		for _, path := range imports {
			if !a.allows(path) {
				t.Errorf("%s imports %s: %s", pkg, path, a.why)
			}
		}
	}
}

func (a arrow) allows(path string) bool {
	if ours, ok := strings.CutPrefix(path, "syncgate/"); ok {
		return slices.Contains(a.ours, "*") || slices.Contains(a.ours, ours)
	}
	first, _, _ := strings.Cut(path, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(a.outside, func(m string) bool {
		return m == "*" || path == m || strings.HasPrefix(path, m+"/")
	})
}

// packages gives the imports of every package of the module, by its path within that.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	all := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if pkg, ok := strings.CutPrefix(words[0], "syncgate/"); ok {
			all[pkg] = words[1:]
		}
	}
	if len(all) == 0 {
		t.Fatal("go list names no package")
	}
	return all
}

func TestEveryPackageHasADocComment(t *testing.T) {
	for pkg := range packages(t) {
		documented := slices.ContainsFunc(parse(t, pkg), func(f *ast.File) bool { return f.Doc != nil })
		if !documented && len(parse(t, pkg)) > 0 {
			t.Errorf("%s has no doc comment", pkg)
		}
	}
}

// parse reads the files of a package, tests aside.
func parse(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// TestGoroutinesAreListed compares the go statements of packages that have many with the lists in their package comments. An entry
// is named after what is started: the function, or the one that starts it where that has no name.
func TestGoroutinesAreListed(t *testing.T) {
	for _, pkg := range []string{"gateway", "internal/eventloop", "internal/tracing", "internal/upstream"} {
		files := parse(t, pkg)
		listed := goroutineList(files)
		if len(listed) == 0 {
			t.Errorf("%s/doc.go has no list under # Goroutines", pkg)
		}
		started := startedIn(files)
		for _, name := range without(started, listed) {
			t.Errorf("%s starts %s, which the list of goroutines in its doc.go does not have", pkg, name)
		}
		for _, name := range without(listed, started) {
			t.Errorf("%s/doc.go lists the goroutine %s, which nothing starts", pkg, name)
		}
	}
}

// startedIn names what the functions of some files start.
func startedIn(files []*ast.File) (names []string) {
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				names = append(names, starts(fn)...)
			}
		}
	}
	return names
}

// without gives what is in a and not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// goroutineList gives the last parts of the names listed (run of listener.run); entries without a dot are others' goroutines.
func goroutineList(files []*ast.File) (names []string) {
	for _, f := range files {
		_, list, _ := strings.Cut(f.Doc.Text(), "# Goroutines\n")
		list, _, _ = strings.Cut(list, "\n# ")
		for _, m := range regexp.MustCompile(`(?m)^\t\w+\.(\w+) `).FindAllStringSubmatch(list, -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// starts names what fn starts with go statements or a WaitGroup's Go.
func starts(fn *ast.FuncDecl) (names []string) {
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			names = append(names, started(fn, n.Call.Fun))
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Go" && len(n.Args) == 1 {
				names = append(names, started(fn, n.Args[0]))
			}
		}
		return true
	})
	return names
}

func started(in *ast.FuncDecl, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.FuncLit:
		if call, ok := onlyCall(e.Body); ok {
			return started(in, call.Fun)
		}
		return in.Name.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	default:
		return in.Name.Name
	}
}

// onlyCall gives the call that is all of a body.
func onlyCall(body *ast.BlockStmt) (*ast.CallExpr, bool) {
	if len(body.List) != 1 {
		return nil, false
	}
	s, ok := body.List[0].(*ast.ExprStmt)
	if !ok {
		return nil, false
	}
	call, ok := s.X.(*ast.CallExpr)
	return call, ok
}

func TestFilesAreShort(t *testing.T) {
	const code, tests = 400, 500 // lines; tables make tests longer
	for name, text := range sources(t) {
		most := code
		if strings.HasSuffix(name, "_test.go") {
			most = tests
		}
		if n := bytes.Count(text, []byte("\n")); strings.HasSuffix(name, ".go") && n > most {
			t.Errorf("%s has %d lines: more than %d", name, n, most)
		}
	}
}

// TestTheTripsRoomIsSmall holds package gateway to a size: who needs more takes something out of it first. docs/decisions/dialects-know-no-gateway.md says why.
func TestTheTripsRoomIsSmall(t *testing.T) {
	const mostFiles, mostLines = 26, 5700
	files, lines := 0, 0
	for name, text := range sources(t) {
		if dir, file := filepath.Split(name); dir == "gateway/" && strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") {
			files, lines = files+1, lines+bytes.Count(text, []byte("\n"))
		}
	}
	if files == 0 || files > mostFiles || lines > mostLines {
		t.Errorf("gateway has %d files of %d lines: it may have %d of %d", files, lines, mostFiles, mostLines)
	}
}

// TestNothingIsSkipped wants that what cannot run fails: a skipped test looks like a passed one.
func TestNothingIsSkipped(t *testing.T) {
	goSkip := regexp.MustCompile(`\b[tbf]\.Skip(Now|f)?\(|testing\.` + `Short\(`)
	scriptSkip := regexp.MustCompile(`(?m)^(\[.*\] *)*sk` + `ip\b`)
	for name, text := range sources(t) {
		if strings.HasSuffix(name, "_test.go") && goSkip.Match(text) || strings.HasSuffix(name, ".txtar") && scriptSkip.Match(text) {
			t.Errorf("%s skips a test", name)
		}
	}
}

// TestSpeaksOfItselfAlone wants no trace of the machine or the circumstances under which a file was written.
func TestSpeaksOfItselfAlone(t *testing.T) {
	traces := regexp.MustCompile(`/(work|root|home/\w+)/` + `\w|(DESIGN|PROTOCOL|ANCHORS|WIRE)` + `\.md`)
	for name, text := range sources(t) {
		if found := traces.Find(text); found != nil {
			t.Errorf("%s has %q", name, found)
		}
	}
}

// TestSuppressionsSuppress wants that a comment which turns a linter off names one that is on.
func TestSuppressionsSuppress(t *testing.T) {
	text, err := os.ReadFile(".golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	on := map[string]bool{"errcheck": true, "govet": true, "ineffassign": true, "staticcheck": true, "unused": true} // of default: standard
	_, enabled, _ := strings.Cut(string(text), "\n  enable:\n")
	enabled, _, _ = strings.Cut(enabled, "\n  settings:")
	for _, line := range regexp.MustCompile(`(?m)^    - (\w+)`).FindAllStringSubmatch(enabled, -1) {
		on[line[1]] = true
	}
	directive := regexp.MustCompile(`//` + `nolint:([\w,]+)`)
	for name, text := range sources(t) {
		for _, found := range directive.FindAllSubmatch(text, -1) {
			for linter := range strings.SplitSeq(string(found[1]), ",") {
				if !on[linter] {
					t.Errorf("%s turns off %s, which is not on", name, linter)
				}
			}
		}
	}
}

// TestPlainWords wants no word that hides who does what.
func TestPlainWords(t *testing.T) {
	hides := regexp.MustCompile(`(?i)\b(who` + `ever|like` + `wise|to` + `ld)\b.*`)
	for name, text := range sources(t) {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "LICENSE") {
			continue
		}
		for _, found := range hides.FindAll(text, -1) {
			t.Errorf("%s: %s", name, found)
		}
	}
}

// sources gives the files that people write, by name.
func sources(t *testing.T) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin" || d.Name() == "dist" || d.Name() == "fuzz"):
			return filepath.SkipDir
		case d.IsDir() || d.Name() == "go.sum" || d.Name() == ".git": // a worktree's is a file
			return nil
		}
		text, err := os.ReadFile(name)
		all[filepath.ToSlash(name)] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
