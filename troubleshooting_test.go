package house_test

import (
	"go/ast"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestTroubleshootingIsComplete wants an entry in docs/troubleshooting.md for every text of a Fault and for every line of the log
// at warn or error.
func TestTroubleshootingIsComplete(t *testing.T) {
	text, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	page, found := string(text), 0
	for pkg := range packages(t) {
		if strings.HasPrefix(pkg, "bench") || strings.HasPrefix(pkg, "internal/enginesim") {
			continue
		}
		for _, f := range parse(t, pkg) {
			for _, message := range messages(f) {
				found++
				if !strings.Contains(page, "`"+message) {
					t.Errorf("docs/troubleshooting.md has no entry for %q of %s", message, pkg)
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d texts were found: the test looks in the wrong places", found)
	}
}

// messages gives the texts of faults in a file, and the messages that it logs at warn or error. Of a text that is put together it is
// the constant beginning.
func messages(f *ast.File) (all []string) {
	add := func(e ast.Expr) {
		if s := beginning(e); s != "" {
			all = append(all, s)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			add(faultText(n))
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Msg" && len(n.Args) == 1 && isWarning(s.X) {
				add(n.Args[0])
			}
		}
		return true
	})
	return all
}

// faultText gives the text of a Fault, or nil.
func faultText(lit *ast.CompositeLit) ast.Expr {
	name, ok := lit.Type.(*ast.Ident)
	if s, selected := lit.Type.(*ast.SelectorExpr); selected {
		name, ok = s.Sel, true
	}
	if !ok || name.Name != "Fault" {
		return nil
	}
	for _, e := range lit.Elts {
		if member, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := member.Key.(*ast.Ident); ok && key.Name == "Text" {
				return member.Value
			}
		}
	}
	return nil
}

// isWarning reports whether a chain of calls begins with Warn or Error.
func isWarning(e ast.Expr) bool {
	for {
		call, ok := e.(*ast.CallExpr)
		if !ok {
			return false
		}
		s, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		if s.Sel.Name == "Warn" || s.Sel.Name == "Error" {
			return true
		}
		e = s.X
	}
}

// beginning gives the constant beginning of a string: of a literal, of a sum, or of a format up to its first verb.
func beginning(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		if e.Kind != token.STRING || err != nil {
			return ""
		}
		return s
	case *ast.BinaryExpr:
		return beginning(e.X)
	case *ast.CallExpr:
		if s, ok := e.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Sprintf" && len(e.Args) > 0 {
			s, _, _ := strings.Cut(beginning(e.Args[0]), "%")
			return s
		}
	}
	return ""
}
