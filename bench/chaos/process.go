package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// patience bounds every wait for something that is sure to come.
const patience = 15 * time.Second

// process is a child. It is killed when the context of its start ends, or by kill.
type process struct {
	name string
	log  string // the file with all that it wrote
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start runs a program whose output goes to a file in dir.
func start(ctx context.Context, dir, program string, env []string, args ...string) (*process, error) {
	name := filepath.Base(program)
	log, err := os.CreateTemp(dir, name+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, log: log.Name(), done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, program, args...) //nolint:gosec // the callers name programs that we built, redis-server and haproxy
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(os.Environ(), env...)
	err = p.cmd.Start()
	_ = log.Close() // the program has its own
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState tells
		close(p.done)
	}()
	return p, nil
}

// kill ends it as kill -9 does, stopped or not. It does nothing to one that has ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %v to %s: %w", s, p.name, err)
	}
	return nil
}

// ends waits for its end and wants exit status 0.
func (p *process) ends(ctx context.Context) error {
	select {
	case <-p.done:
	case <-ctx.Done():
		return fmt.Errorf("%s has not ended: %w", p.name, ctx.Err())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s has ended with status %d", p.name, code)
	}
	return nil
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// until polls until ok.
func until(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !ok() {
		if !pause(ctx, 10*time.Millisecond) {
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
	return nil
}

// pause waits. It reports false when ctx has ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
