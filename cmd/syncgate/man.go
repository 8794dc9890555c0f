package main

import (
	"flag"
	"fmt"
	"strings"

	"syncgate/configs"
)

const manHelp = `Prints the manual page, as man reads it:

  syncgate man > syncgate.1
  man ./syncgate.1
`

func manual(p *program, fs *flag.FlagSet, args []string) error {
	if err := parseFlags(fs, args, 0); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(".TH SYNCGATE 1 \"\" " + roffQuote("syncgate "+versionText()) + "\n.SH NAME\nsyncgate \\- synchronous answers from an asynchronous engine\n")
	b.WriteString(".SH SYNOPSIS\n")
	for i, c := range commands() {
		if i > 0 {
			b.WriteString(".br\n")
		}
		fmt.Fprintf(&b, "\\fBsyncgate %s\\fR %s\n", roff(c.name), roff(c.args))
	}
	b.WriteString(".SH DESCRIPTION\n" + roffText(summary) + ".SH COMMANDS\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, ".SS %s\n%s", roffQuote(strings.TrimSpace(c.name+" "+c.args)), roffText(c.help))
		c.flagsOf(p).VisitAll(func(f *flag.Flag) {
			value, usage := flag.UnquoteUsage(f)
			fmt.Fprintf(&b, ".TP\n\\fB%s\\fR %s\n%s\n", roff("--"+f.Name), roff(value), roff(usage+defaultOf(f)))
		})
	}
	b.WriteString(".SH EXIT STATUS\n" + roffText(manStatus) + ".SH ENVIRONMENT\n" + roffText(manEnvironment) + ".SH FILES\n" + roffText(manFiles))
	fmt.Fprint(p.out, b.String())
	return nil
}

const (
	manStatus = `0: done. 1: failed while running; an address in use too. 2: the command line or the configuration is wrong; every problem is listed.
health says 1 in place of 2 for a configuration that is wrong.
`
	manEnvironment = configs.FileVariable + ` names the configuration file where --config does not. SYNCGATE_ and the path of a key in upper case with
underscores sets that key, as in SYNCGATE_ENGINE_URL; lists of strings are separated by commas.
HTTPS_PROXY, HTTP_PROXY and NO_PROXY say how the engine is reached where engine.proxy does not.
`
	manFiles = `syncgate check --reference prints a configuration file with every key, its default and an explanation.
`
)

// roffText makes paragraphs of a text; lines that are indented stay as they are.
func roffText(text string) string {
	var b strings.Builder
	literal := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		indented := strings.HasPrefix(line, "  ")
		switch {
		case line == "" && !literal:
			b.WriteString(".PP\n")
			continue
		case indented && !literal:
			b.WriteString(".RS 2\n.nf\n")
		case !indented && literal:
			b.WriteString(".fi\n.RE\n")
		}
		literal = indented
		if line != "" {
			b.WriteString(roff(line) + "\n")
		} else {
			b.WriteString(".PP\n")
		}
	}
	if literal {
		b.WriteString(".fi\n.RE\n")
	}
	return b.String()
}

// roff hides what troff would read.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		return `\&` + s
	}
	return s
}

func roffQuote(s string) string { return `"` + strings.ReplaceAll(roff(s), `"`, `\(dq`) + `"` }
