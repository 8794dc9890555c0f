package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"syncgate/configs"
)

const healthHelp = `Asks the admin listener of a gateway on this machine whether it is ready: exit status 0 if it is, 1 if not. It reads the same
configuration as serve, to know the address. Meant for a container's health check.
`

// healthTimeout is well below the interval of any health check.
const healthTimeout = 3 * time.Second

// health has the exit status 1 for a bad configuration too: container engines reserve 2.
func health(p *program, fs *flag.FlagSet, args []string) error {
	path := configFlag(fs)
	if err := parseConfigFlags(fs, args); err != nil {
		return err
	}
	c, _, err := p.config(*path)
	if err != nil {
		if problems, ok := errors.AsType[configs.Problems](err); ok {
			return fmt.Errorf("read the configuration:\n%s", problems.Error())
		}
		return err
	}
	if c.Listen.Admin == "" {
		return errors.New("listen.admin is empty: there is nobody to ask")
	}
	url := "http://" + reachable(c.Listen.Admin) + "/readyz"
	client := http.Client{Timeout: healthTimeout}
	answer, err := client.Get(url)
	if err != nil {
		return fmt.Errorf("ask the gateway at %s: %w", url, unanswered(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("read the gateway's answer: %w", unanswered(err))
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s: %s", url, answer.Status, body)
	}
	fmt.Fprintf(p.out, "%s\n", body)
	return nil
}

// unanswered words why there is no answer. What net/http says of one that it cannot read quotes it.
func unanswered(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	if slow, ok := errors.AsType[net.Error](err); ok && slow.Timeout() {
		return errors.New("timed out")
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return errors.New("the name cannot be resolved")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return errors.New("the certificate is not trusted, or is for another name, or has expired")
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return errors.New("it does not speak TLS")
	}
	return errors.New("it is not HTTP, or breaks off")
}

// reachable turns an address to listen on into one to connect to: the loopback where every interface is meant.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	ip := net.ParseIP(host)
	switch {
	case host == "", ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
