package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"syncgate/configs"
)

const (
	// mostAnswer bounds the gateway's answer, in bytes: a list of 1,000 trips has about 3 MB.
	mostAnswer = 16 << 20
	// mostRefusal bounds the sentence in which the gateway refuses something, in bytes.
	mostRefusal = 1 << 10
	// askTimeout is longer than a gateway takes whose store does not answer.
	askTimeout = 10 * time.Second
)

// adminFlag defines --admin.
func adminFlag(fs *flag.FlagSet) *string {
	return fs.String("admin", "", "`address` of the admin listener, such as 127.0.0.1:9090; empty: listen.admin of the configuration")
}

// jsonFlag defines --json.
func jsonFlag(fs *flag.FlagSet) *bool {
	return fs.Bool("json", false, "print the gateway's answer as it is, in JSON")
}

// adminAddress gives where the admin listener is reached.
func (p *program) adminAddress(given, path string) (string, error) {
	if given != "" {
		return reachable(strings.TrimSuffix(strings.TrimPrefix(given, "http://"), "/")), nil
	}
	c, _, err := p.config(path)
	if err != nil {
		return "", err
	}
	if c.Listen.Admin == "" {
		return "", configs.Problems{{Key: "listen.admin", Text: "is empty: there is nobody to ask"}}
	}
	return reachable(c.Listen.Admin), nil
}

// adminAnswer is what an admin listener has answered.
type adminAnswer struct {
	status int
	media  string // without parameters
	body   []byte
}

// adminRequest makes a request to an admin listener.
func adminRequest(method, address, path string) (*http.Request, error) {
	req, err := http.NewRequest(method, "http://"+address+path, nil) //nolint:gosec // where the caller says
	if err != nil {
		return nil, usageError("--admin must be an address such as 127.0.0.1:9090")
	}
	return req, nil
}

// ask asks the admin listener of a gateway.
func ask(method, address, path string) (status int, body []byte, err error) {
	a, err := askAdmin(method, address, path)
	return a.status, a.body, err
}

// askAdmin is ask for those who want to know what kind of answer it is.
func askAdmin(method, address, path string) (a adminAnswer, err error) {
	req, err := adminRequest(method, address, path)
	if err != nil {
		return a, err
	}
	client := http.Client{Timeout: askTimeout}
	answer, err := client.Do(req) //nolint:gosec // where the caller says; the client has a time-out
	if err != nil {
		return a, fmt.Errorf("ask the gateway at %s: %w", address, unanswered(err))
	}
	return readAnswer(answer)
}

// readAnswer reads an answer to its end.
func readAnswer(answer *http.Response) (a adminAnswer, err error) {
	defer answer.Body.Close()
	a.status = answer.StatusCode
	a.media, _, _ = mime.ParseMediaType(answer.Header.Get("Content-Type")) // what is none is no media type that anybody wants
	if a.body, err = io.ReadAll(io.LimitReader(answer.Body, mostAnswer)); err != nil {
		return a, fmt.Errorf("read the gateway's answer: %w", unanswered(err))
	}
	return a, nil
}

// refusal is the sentence in which a gateway refuses something; nil: it has not, or this is somebody else.
func (a *adminAnswer) refusal() error {
	if a.status < http.StatusBadRequest || a.media != "text/plain" || len(a.body) == 0 || len(a.body) > mostRefusal || bytes.ContainsAny(a.body, "\r\n\x1b") {
		return nil
	}
	return errors.New(string(a.body))
}

// read reads an answer in JSON into v, which has what is wanted if whole reports so. what says what that is, for the error.
func (a *adminAnswer) read(address, what string, v any, whole func() bool) error {
	if err := a.refusal(); err != nil {
		return err
	}
	if json.Unmarshal(a.body, v) != nil || !whole() {
		return fmt.Errorf("%s does not say %s: is it the admin listener of a gateway of this version?", address, what)
	}
	return nil
}
