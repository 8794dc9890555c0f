package configs

import (
	"errors"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// FileVariable names the configuration file where no flag does.
const FileVariable = prefix + "CONFIG"

const prefix = "SYNCGATE_"

// Load reads the configuration: the defaults, then the file at path unless that is empty, then the variables of env, which are
// NAME=value as of os.Environ. Its error is Problems, all of them.
func Load(path string, env []string) (*Config, []Warning, error) {
	l := &loader{path: path, env: make(map[string]string), config: Default(), origin: make(map[string]Problem)}
	for _, e := range env {
		if name, value, ok := strings.Cut(e, "="); ok {
			l.env[name] = value
		}
	}
	if path != "" {
		l.file()
	}
	l.environment(env)
	l.secretFiles()
	l.validate()
	if len(l.problems) > 0 {
		l.problems.sort()
		return nil, l.warnings, l.problems
	}
	return l.config, append(l.warnings, l.config.warnings()...), nil
}

type loader struct {
	path     string
	env      map[string]string
	config   *Config
	origin   map[string]Problem // by key path: who set it last, as a problem without text
	problems Problems
	warnings []Warning
}

// add reports a problem where the key was set, or else where what holds the key was.
func (l *loader) add(key, text string) {
	p := Problem{File: l.path}
	for at := key; at != ""; at = parent(at) {
		if origin, ok := l.origin[at]; ok {
			p = origin
			break
		}
	}
	p.Key, p.Text = key, text
	l.problems = append(l.problems, &p)
}

func (l *loader) file() {
	data, err := os.ReadFile(l.path)
	if err != nil {
		l.problems = append(l.problems, &Problem{File: l.path, Text: reason(err)})
		return
	}
	if isEmpty(data) {
		l.problems = append(l.problems, &Problem{File: l.path, Text: "is empty: write the keys that differ from the defaults, which syncgate check --reference explains"})
		return
	}
	var documents []yaml.Node
	if err := yaml.Load(data, &documents, yaml.WithAllDocuments()); err != nil {
		l.problems = append(l.problems, l.syntax(err))
		return
	}
	if len(documents) == 0 || isNull(documents[0].Content[0]) {
		l.warnings = append(l.warnings, Warning(l.path+": sets no key, every setting has its default or its variable"))
	}
	for i := range documents {
		root := documents[i].Content[0]
		if i > 0 {
			l.problems = append(l.problems, &Problem{File: l.path, Line: root.Line, Text: "a second document begins: remove the --- before it"})
			return
		}
		d := decoder{env: l.env, note: l.note, wrong: l.wrong}
		d.decode("", root, reflect.ValueOf(l.config).Elem())
	}
	for i := range l.config.Engines {
		e := &l.config.Engines[i]
		if _, said := l.origin[item("engines", i)+".merge"]; !said {
			e.Merge = e.mergesByDefault()
		}
	}
}

// isEmpty reports whether a file has nothing at all, not even a comment: something has written it that had nothing to write.
func isEmpty(data []byte) bool {
	text := strings.TrimSpace(strings.TrimPrefix(string(data), "\ufeff"))
	return text == "" || text == "---"
}

func (l *loader) note(key string, n *yaml.Node) {
	l.origin[key] = Problem{File: l.path, Line: n.Line}
}

func (l *loader) wrong(key string, n *yaml.Node, text string) {
	l.problems = append(l.problems, &Problem{Key: key, File: l.path, Line: n.Line, Text: text})
}

// environment applies the variables. One that names no setting is only a warning: platforms make some of their own, such as
// SYNCGATE_PORT for a service called syncgate.
func (l *loader) environment(env []string) {
	settings := make(map[string]string) // key path by variable
	fileOnly := make(map[string]bool)   // by key path
	walk(reflect.ValueOf(l.config).Elem(), "", func(key string, v reflect.Value) {
		name := Variable(key)
		settings[name], fileOnly[key] = key, isFileOnly(v.Type())
		if text, set := l.env[name]; set && !fileOnly[key] {
			l.origin[key] = Problem{Variable: name}
			l.set(key, v, text)
		}
	})
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		key, known := settings[name]
		switch {
		case !strings.HasPrefix(name, prefix) || name == FileVariable:
		case !known:
			l.warnings = append(l.warnings, Warning(name+": no setting has this variable, it is ignored"))
		case fileOnly[key]:
			l.warnings = append(l.warnings, Warning(name+": "+key+" can only be set in the file, the variable is ignored"))
		}
	}
}

func (l *loader) set(key string, v reflect.Value, text string) {
	if v.Kind() == reflect.Slice {
		setStrings(v, splitList(text))
	} else if err := setText(v, text); err != nil {
		l.add(key, err.Error())
	}
}

// Variable is the environment variable of a key path: SYNCGATE_ENGINE_URL of engine.url.
func Variable(key string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// secretFiles reads every file named by a key such as secret_file that stands beside a key such as secret, into that.
func (l *loader) secretFiles() {
	walkSections(reflect.ValueOf(l.config).Elem(), "", func(section string, v reflect.Value) {
		for _, f := range fields(v) {
			base, isFile := strings.CutSuffix(f.name, "_file")
			if !isFile || f.value.String() == "" {
				continue
			}
			to, beside := lookUp(v, base)
			if !beside {
				continue
			}
			if to.Len() > 0 {
				l.add(join(section, f.name), "and "+base+" are both set: remove one")
			} else if err := readSecret(to, f.value.String()); err != nil {
				l.add(join(section, f.name), "read the secret: "+err.Error())
			}
		}
	})
}

// readSecret sets a string to the text of a file less its last newline, and a list of strings to its lines.
func readSecret(to reflect.Value, path string) error {
	text, err := ReadSecret(path)
	if err != nil {
		return err
	}
	if to.Kind() == reflect.String {
		to.SetString(text)
		return nil
	}
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	setStrings(to, lines)
	return nil
}

// ReadSecret reads a file less its last newline. That nothing is left is an error. Its errors do not name the file: a secret may
// have been written where its file was meant.
func ReadSecret(path string) (string, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", errors.New(reason(err))
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", errors.New("the file is empty")
	}
	return text, nil
}

// validate leaves out what is a consequence of a problem that is known already.
func (l *loader) validate() {
	for _, err := range split(l.config.Validate()) {
		key, text, _ := strings.Cut(err.Error(), ": ")
		if !l.problems.about(key) && !l.problems.about(key+"_file") {
			l.add(key, text)
		}
	}
}

// split takes joined errors apart, however deep.
func split(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if err == nil {
			return nil
		}
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, split(e)...)
	}
	return all
}
