package configs

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

func unset(name string) error {
	if looksLikeVariable(name) {
		return fmt.Errorf("environment variable %s is not set", name)
	}
	return errors.New("names an environment variable that is not set; $${ writes a plain ${")
}

// expand replaces every ${NAME} in s by the variable's value, which is taken as it is. $${ writes a plain ${, and a $ before
// anything else is just that. The error names a variable that is not set.
func expand(s string, env map[string]string) (string, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	var problems []error
	reference, name := regexp.MustCompile(`\$\$\{|\$\{[^}]*\}?`), regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)
	out := reference.ReplaceAllStringFunc(s, func(m string) string {
		if m == "$${" {
			return "${"
		}
		found := name.FindStringSubmatch(m)
		if found == nil {
			problems = append(problems, errors.New("has a ${ that names no variable: write ${NAME}, or $${ for a plain ${"))
			return m
		}
		value, set := env[found[1]]
		if !set {
			problems = append(problems, unset(found[1]))
		}
		return value
	})
	if len(problems) > 0 {
		return "", problems[0]
	}
	return out, nil
}
