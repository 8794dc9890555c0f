package main

import (
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
	"syncgate/internal/redact"
)

const (
	// mostAnswer bounds the gateway's answer, in bytes: a list of 1,000 trips has about 3 MB.
	mostAnswer = 16 << 20
	// mostRefusal bounds the sentence in which the gateway refuses something, in bytes.
	mostRefusal = 1 << 10
	// askTimeout bounds a question. A gateway answers earlier even if its store does not: then it gives up after storeTimeout.
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

// answerOf asks an admin listener for an answer in JSON, and also gives it as it came. whole and what are those of read.
func answerOf[T any](method, address, path, what string, whole func(v *T) bool) (v T, body []byte, err error) {
	answer, err := askAdmin(method, address, path)
	if err == nil {
		err = answer.read(address, what, &v, func() bool { return whole(&v) })
	}
	return v, answer.body, err
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
	text := string(a.body[:min(len(a.body), mostRefusal+1)])
	if a.status < http.StatusBadRequest || a.media != "text/plain" || text == "" || len(text) > mostRefusal || text != printableText(text) {
		return nil
	}
	return errors.New(text)
}

// read reads an answer in JSON into v, which has what is wanted if whole reports so. what says what that is, for the error.
func (a *adminAnswer) read(address, what string, v any, whole func() bool) error {
	if err := a.refusal(); err != nil {
		return err
	}
	if json.Unmarshal(a.body, v) != nil || !whole() {
		return errElsewhere(address, what)
	}
	return nil
}

// errElsewhere says that something else than an admin listener has answered. what says what it was asked for.
func errElsewhere(address, what string) error {
	return fmt.Errorf("%s does not say %s: is it the admin listener of a gateway of this version?", address, what)
}

// escaping writes text that a server has sent. It escapes what is neither printable nor the end of a line, so that a terminal obeys no sequence in the text.
type escaping struct{ w io.Writer }

func (p escaping) Write(text []byte) (int, error) {
	lines := strings.Split(string(text), "\n")
	for i := range lines {
		lines[i] = printableText(lines[i])
	}
	if _, err := io.WriteString(p.w, strings.Join(lines, "\n")); err != nil {
		return 0, err
	}
	return len(text), nil
}

// printableText is a text with what cannot be printed as \uXXXX.
func printableText(text string) string {
	const longest = len(`\uffff`) // of what one byte becomes
	return string(redact.AppendText(nil, []byte(text), longest*len(text)))
}
