package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// usageError says that the command line is wrong. It is one line.
type usageError string

func (e usageError) Error() string { return string(e) }

// parseFlags reads args: flags as --name=value, --name value or -name, before or behind at most so many other arguments, which fs.Arg
// gives afterwards. Behind -- nothing is a flag. Its errors name what was meant, and not the values: one may be a secret.
func parseFlags(fs *flag.FlagSet, args []string, most int) error {
	var others []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			others = append(others, args...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			others = append(others, arg)
			continue
		}
		var err error
		if args, err = parseFlag(fs, strings.TrimPrefix(arg[1:], "-"), args); err != nil {
			return err
		}
	}
	if len(others) > most {
		return usageError(fmt.Sprintf("unexpected argument %q; %s", others[most], helpHint(fs)))
	}
	return fs.Parse(append([]string{"--"}, others...))
}

// parseFlag sets the flag that text names, whose value may be the first of args, and gives the rest of them.
func parseFlag(fs *flag.FlagSet, text string, args []string) (rest []string, err error) {
	name, value, given := strings.Cut(text, "=")
	f := fs.Lookup(name)
	switch {
	case f != nil:
	case name == "h" || name == "help":
		fs.Usage()
		return args, flag.ErrHelp
	default:
		return args, unknownFlag(fs, name)
	}
	if isSwitch(f) && !given {
		value = "true"
	} else if !given {
		if len(args) == 0 {
			return args, usageError("--" + name + " needs a value: " + wanted(f, nil))
		}
		value, args = args[0], args[1:]
	}
	if err := fs.Set(name, value); err != nil {
		return args, usageError("--" + name + ": " + wanted(f, err))
	}
	return args, nil
}

// isSwitch reports whether a flag needs no value.
func isSwitch(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// wanted says what a flag takes. err is what the flag says of a value that it does not take, if there was one: those of package flag
// itself only say that it is wrong.
func wanted(f *flag.Flag, err error) string {
	var typed any
	if g, ok := f.Value.(flag.Getter); ok {
		typed = g.Get()
	}
	switch typed.(type) {
	case time.Duration:
		return "must be a duration with its unit: write 500ms, 30s, 5m"
	case bool:
		return "must be true or false"
	case int, int64, uint, uint64:
		return "must be a whole number"
	case float64:
		return "must be a number"
	}
	if err != nil {
		return strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	_, usage := flag.UnquoteUsage(f)
	return usage
}

// fewFlags are so few that a line can name them all.
const fewFlags = 6

func unknownFlag(fs *flag.FlagSet, name string) error {
	var names []string
	fs.VisitAll(func(f *flag.Flag) { names = append(names, "--"+f.Name) })
	text := "there is no flag --" + name
	if near := nearest("--"+name, names); near != "" {
		return usageError(text + ", did you mean " + near + "? " + helpHint(fs))
	}
	if len(names) > 0 && len(names) <= fewFlags {
		text += ", there is " + strings.Join(names, ", ")
	}
	return usageError(text + "; " + helpHint(fs))
}

func helpHint(fs *flag.FlagSet) string { return "syncgate " + fs.Name() + " --help explains" }

// nearest gives the word that was probably meant, or nothing if none is near.
func nearest(word string, words []string) (near string) {
	best := max(1, len(word)/3) + 1
	for _, w := range words {
		if d := distance(word, w); d < best {
			near, best = w, d
		}
	}
	return near
}

// distance is how many letters have to be put in, left out, changed or swapped with their neighbour to make b of a.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			switch {
			case i == 0 || j == 0:
				rows[i][j] = i + j
			case a[i-1] == b[j-1]:
				rows[i][j] = rows[i-1][j-1]
			default:
				rows[i][j] = 1 + min(rows[i-1][j-1], rows[i-1][j], rows[i][j-1])
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					rows[i][j] = min(rows[i][j], 1+rows[i-2][j-2])
				}
			}
		}
	}
	return rows[len(a)][len(b)]
}

// printFlags lists the flags as --name, with their defaults.
func printFlags(w io.Writer, fs *flag.FlagSet) {
	first := true
	fs.VisitAll(func(f *flag.Flag) {
		if first {
			fmt.Fprint(w, "\nFlags:\n")
			first = false
		}
		value, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  --%s\n        %s%s\n", strings.TrimSpace(f.Name+" "+value), usage, defaultOf(f))
	})
}

// defaultOf words the default of a flag, after a blank; nothing where that is nothing.
func defaultOf(f *flag.Flag) string {
	if f.DefValue == "" || f.DefValue == "false" {
		return ""
	}
	return " (default " + f.DefValue + ")"
}

// flagsOf gives the flags of a command, which is not run: it asks for help.
func (c *command) flagsOf(p *program) *flag.FlagSet {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	if err := c.run(p, fs, []string{"--help"}); !errors.Is(err, flag.ErrHelp) {
		panic("syncgate " + c.name + " does not read its flags first")
	}
	return fs
}
