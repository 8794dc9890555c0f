package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"syncgate/internal/freeport"
)

// patience bounds every wait of a script: far above what anything takes, also under the race detector.
const patience = 30 * time.Second

// TestScripts runs testdata/script. Beyond testscript's own commands there are
//
//	exits STATUS PROGRAM ARG...            run it and want this exit status
//	start NAME [VAR=value] PROGRAM ARG...  run it in the background, with its output in NAME.out and NAME.log
//	await FILE PATTERN                     wait until FILE matches; named groups become environment variables
//	signal TERM|INT|HUP NAME               send it to what start has started
//	ended STATUS NAME                      wait until it ends, and want this exit status
//	free VARIABLE...                       set each to a free address of the loopback, and VARIABLE_PORT to its port
//	block NAME FILE [OLD NEW]...           write a block of the README into FILE
//	page FILE [OLD NEW]...                 open a page of the documents for the next four
//	writes BLOCK FILE [OLD NEW]...         write a block of it into FILE
//	types BLOCK [OLD NEW]...               paste a block of it into a shell; what it prints is in the file typed
//	shows BLOCK [FILE]                     want that typed, or FILE, is what a block of it shows
//	whole                                  want that every block of it was used
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Values[processesKey{}] = make(processes)
			e.Values[pageKey{}] = new(*page)
			e.Setenv("GORACE", "atexit_sleep_ms=20") // not a second at the end of every command
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "start": startProcess, "await": await, "signal": sendSignal, "ended": ended, "free": setFree, "block": block,
			"page": openPage, "writes": writes, "types": types, "shows": shows, "whole": whole,
		},
	})
}

// processes are those that a script has started, by name.
type processes map[string]*process

type processesKey struct{}

type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has; then cmd.ProcessState is set
}

// want checks the arguments of a command.
func want(ts *testscript.TestScript, neg bool, args []string, least int, usage string) {
	if neg || len(args) < least {
		ts.Fatalf("usage: %s", usage)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "exits STATUS PROGRAM ARG...")
	status := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		status = exit.ExitCode()
	}
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("exit status %d, want %s", status, args[0])
	}
}

func startProcess(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "start NAME [VAR=value] PROGRAM ARG...")
	out, err := os.Create(ts.MkAbs(args[0] + ".out"))
	ts.Check(err)
	log, err := os.Create(ts.MkAbs(args[0] + ".log"))
	ts.Check(err)
	cmd := exec.Command("env", args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), out, log
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GORACE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(cmd.Start())
	p := &process{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState tells
		_ = errors.Join(out.Close(), log.Close())
		close(p.ended)
	}()
	all(ts)[args[0]] = p
	ts.Defer(func() {
		_ = cmd.Process.Kill() // most have ended
		<-p.ended
	})
}

func all(ts *testscript.TestScript) processes {
	ps, ok := ts.Value(processesKey{}).(processes)
	if !ok {
		ts.Fatalf("Setup has not made the processes")
	}
	return ps
}

func started(ts *testscript.TestScript, name string) *process {
	p := all(ts)[name]
	if p == nil {
		ts.Fatalf("%s was not started", name)
	}
	return p
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "await FILE PATTERN")
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	deadline, tick := time.After(patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if m := pattern.FindSubmatch(text); err == nil && m != nil {
			for i, name := range pattern.SubexpNames() {
				if name != "" {
					ts.Setenv(name, string(m[i]))
				}
			}
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s does not match %s:\n%s", args[0], args[1], text)
		}
	}
}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "signal TERM|INT|HUP NAME")
	s, ok := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP}[args[0]]
	if !ok {
		ts.Fatalf("there is no signal %s here", args[0])
	}
	ts.Check(started(ts, args[1]).cmd.Process.Signal(s))
}

func ended(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "ended STATUS NAME")
	p := started(ts, args[1])
	select {
	case <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("%s does not end; its log is\n%s", args[1], ts.ReadFile(args[1]+".log"))
	}
	if status := p.cmd.ProcessState.ExitCode(); strconv.Itoa(status) != args[0] {
		ts.Fatalf("%s ended with status %d, want %s; its log is\n%s", args[1], status, args[0], ts.ReadFile(args[1]+".log"))
	}
}

// setFree sets variables to addresses that are free.
func setFree(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "free VARIABLE...")
	addresses, err := freeport.Addresses(len(args))
	ts.Check(err)
	for i, name := range args {
		ts.Setenv(name, addresses[i])
		_, port, err := net.SplitHostPort(addresses[i])
		ts.Check(err)
		ts.Setenv(name+"_PORT", port)
	}
}
