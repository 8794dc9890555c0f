package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

// livePath is where a gateway says each second how it is, as events.
const livePath = "/api/live"

// errLiveEnded says why there are no more events.
var errLiveEnded = errors.New("the gateway has ended them: it stops, or they were read too slowly")

// followLive calls f with each event of a gateway, until f returns an error, which it gives, or ctx ends, or there are no more events. Events
// come each second: a gateway of which nothing is heard for so long as patience is lost.
func followLive(ctx context.Context, address string, patience time.Duration, f func(name string, data []byte) error) error {
	req, err := adminRequest(http.MethodGet, address, livePath)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(patience, func() { cancel(fmt.Errorf("nothing has come for %v", patience)) })
	defer silence.Stop()
	client := http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	answer, err := client.Do(req.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("ask the gateway at %s: %w", address, cmp.Or(context.Cause(ctx), unanswered(err)))
	}
	defer answer.Body.Close()
	if media, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); media != "text/event-stream" {
		a, err := readAnswer(answer)
		if err == nil {
			err = a.read(address, "how it is", new(struct{}), func() bool { return false })
		}
		return err
	}
	var stopped error
	err = readEvents(answer.Body, func(name string, data []byte) error {
		silence.Stop() // f may be slow: that is not the gateway's silence
		stopped = f(name, data)
		silence.Reset(patience)
		return stopped
	})
	switch {
	case stopped != nil:
		return stopped
	case !errors.Is(err, errLiveEnded):
		err = cmp.Or(context.Cause(ctx), unanswered(err))
	}
	return fmt.Errorf("hear how the gateway at %s is: %w", address, err)
}

// readEvents reads server-sent events, as much of https://html.spec.whatwg.org/multipage/server-sent-events.html as names and data need.
// Each has at most mostAnswer bytes of data. It returns the error of f, or why there are no more.
func readEvents(r io.Reader, f func(name string, data []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), mostAnswer)
	name, data := "", []byte(nil)
	for lines.Scan() {
		field, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(lines.Bytes()) == 0:
			if data != nil {
				if err := f(name, data); err != nil {
					return err
				}
			}
			name, data = "", nil
		case string(field) == "event":
			name = string(value)
		case string(field) == "data" && len(data)+len(value) < mostAnswer:
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, value...)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errLiveEnded
}
