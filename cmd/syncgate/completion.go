package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
)

const completionHelp = `Prints a script that lets a shell complete the commands and flags of syncgate. To try it in the present shell:

  bash:  source <(syncgate completion bash)
  zsh:   source <(syncgate completion zsh)
  fish:  syncgate completion fish | source

For every shell, write it to a file that the shell reads: /etc/bash_completion.d/syncgate, a file _syncgate in a directory of zsh's
$fpath, or ~/.config/fish/completions/syncgate.fish.
`

// shells are those for which there is a script.
const shells = "bash zsh fish"

func completion(p *program, fs *flag.FlagSet, args []string) error {
	if err := parseFlags(fs, args, 1); err != nil {
		return err
	}
	switch fs.Arg(0) {
	case "bash":
		fmt.Fprint(p.out, bashScript(p))
	case "zsh":
		fmt.Fprint(p.out, zshScript(p))
	case "fish":
		fmt.Fprint(p.out, fishScript(p))
	default:
		return usageError("name the shell: " + strings.ReplaceAll(shells, " ", ", "))
	}
	return nil
}

// option is a flag as a shell completes it.
type option struct {
	name, usage string
	value       bool // it takes one
	file        bool // which is a file
}

// options lists the flags of a command.
func (c *command) options(p *program) (all []option) {
	c.flagsOf(p).VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		all = append(all, option{name: "--" + f.Name, usage: usage, value: !isSwitch(f), file: value == "file"})
	})
	return append(all, option{name: "--help", usage: "explain the command"})
}

// words are what may follow a command instead of a flag; files says that files may.
func (c *command) words() (words []string, files bool) {
	switch c.name {
	case "completion":
		words = strings.Fields(shells)
	case "notify":
		words = strings.Fields(notifyActions)
	case "openapi":
		words = strings.Fields(openapiKinds)
	}
	return words, strings.Contains(c.args, "[FILE|-]")
}

func commandNames() (names []string) {
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return names
}

// bashScript is for bash alone: it needs nothing of the package bash-completion.
func bashScript(p *program) string {
	var b strings.Builder
	b.WriteString(`# bash completion of syncgate
_syncgate() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words= files=
	if [ "$COMP_CWORD" -eq 1 ]; then
		COMPREPLY=($(compgen -W "` + strings.Join(append(commandNames(), "--help", "--version"), " ") + `" -- "$cur"))
		return
	fi
	case "${COMP_WORDS[1]} $prev" in
`)
	for _, c := range commands() {
		for _, o := range c.options(p) {
			if o.file {
				fmt.Fprintf(&b, "\t\"%s %s\") COMPREPLY=($(compgen -f -- \"$cur\")); compopt -o filenames; return ;;\n", c.name, o.name)
			} else if o.value {
				fmt.Fprintf(&b, "\t\"%s %s\") return ;;\n", c.name, o.name)
			}
		}
	}
	b.WriteString("\tesac\n\tcase \"${COMP_WORDS[1]}\" in\n")
	for _, c := range commands() {
		words, files := c.words()
		for _, o := range c.options(p) {
			words = append(slices.Clip(words), o.name)
		}
		fmt.Fprintf(&b, "\t%s) words=%q files=%t ;;\n", c.name, strings.Join(words, " "), files)
	}
	b.WriteString(`	esac
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
	if [ "$files" = true ] && [[ $cur != -* ]]; then
		COMPREPLY+=($(compgen -f -- "$cur"))
		compopt -o filenames
	fi
}
complete -F _syncgate syncgate
`)
	return b.String()
}

func zshScript(p *program) string {
	var b strings.Builder
	b.WriteString("#compdef syncgate\n_syncgate() {\n\tif (( CURRENT == 2 )); then\n\t\t_values command")
	for _, c := range commands() {
		fmt.Fprintf(&b, " \\\n\t\t\t%s", quote(c.name+"["+zshText(c.summary)+"]"))
	}
	b.WriteString("\n\t\treturn\n\tfi\n\tlocal name=$words[2]\n\tshift words\n\t(( CURRENT-- ))\n\tcase $name in\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "\t%s) _arguments", c.name)
		for _, o := range c.options(p) {
			text := o.name + "[" + zshText(o.usage) + "]"
			if o.file {
				text += ":file:_files"
			} else if o.value {
				text += ":value:"
			}
			b.WriteString(" \\\n\t\t" + quote(text))
		}
		if words, files := c.words(); files {
			b.WriteString(" \\\n\t\t'*:file:_files'")
		} else if len(words) > 0 {
			b.WriteString(" \\\n\t\t" + quote("1:word:("+strings.Join(words, " ")+")"))
		}
		b.WriteString(" ;;\n")
	}
	b.WriteString("\tesac\n}\nif [ \"$funcstack[1]\" = _syncgate ]; then _syncgate \"$@\"; else compdef _syncgate syncgate; fi\n")
	return b.String()
}

// zshText hides what _arguments and _values would read.
func zshText(s string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(s)
}

func fishScript(p *program) string {
	var b strings.Builder
	b.WriteString("# fish completion of syncgate\ncomplete -c syncgate -f\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "complete -c syncgate -n __fish_use_subcommand -a %s -d %s\n", c.name, fishQuote(c.summary))
		seen := "-n '__fish_seen_subcommand_from " + c.name + "'"
		for _, o := range c.options(p) {
			fmt.Fprintf(&b, "complete -c syncgate %s -l %s -d %s", seen, strings.TrimPrefix(o.name, "--"), fishQuote(o.usage))
			if o.file {
				b.WriteString(" -r -F")
			} else if o.value {
				b.WriteString(" -x")
			}
			b.WriteByte('\n')
		}
		words, files := c.words()
		if files {
			fmt.Fprintf(&b, "complete -c syncgate %s -F\n", seen)
		}
		if len(words) > 0 {
			fmt.Fprintf(&b, "complete -c syncgate %s -a %s\n", seen, fishQuote(strings.Join(words, " ")))
		}
	}
	return b.String()
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
