package syncgate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"time"
)

// quiet is how long a stream may say nothing. Its heartbeat comes every 15 s.
const quiet = 45 * time.Second

// event is one of a stream.
type event struct{ id, name, data string }

// listen hears the task's events until it is over. streams is false where there is no stream here, and the caller polls.
func (t *trip) listen() (streams bool, err error) {
	last := ""
	for !t.over() {
		end, err := t.hear(&last)
		switch {
		case err == nil && end == "none":
			return false, nil
		case err == nil && end == "over":
			return true, nil
		case err == nil: // the stream's time was up
			pause(t.ctx, pauses()[0])
			continue
		}
		why := t.lost(err)
		if why == nil {
			return false, err
		}
		if why.Code != "network" {
			return false, why
		}
		if err := t.again(why, false); err != nil {
			return false, err
		}
	}
	return true, nil
}

// hear reads one stream behind the last event that was heard. It says how the stream has ended: "none" when it was none, "over" when the task is,
// and "timeout" when the stream's time was.
func (t *trip) hear(last *string) (end string, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, t.remaining())
	defer cancel()
	watch := time.AfterFunc(quiet, cancel)
	defer watch.Stop()
	r := &request{method: http.MethodGet, path: "/tasks/" + t.task + "/events", header: http.Header{"Accept": {"text/event-stream"}}}
	if *last != "" {
		r.header.Set("Last-Event-ID", *last)
	}
	resp, err := t.c.open(ctx, r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		return "none", nil
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, int(min(t.c.maxBytes(), 1<<30)))
	var e event
	touched, size := false, int64(0)
	for lines.Scan() {
		touched = true
		watch.Reset(quiet)
		line := lines.Bytes()
		if size += int64(len(line)); size > t.c.maxBytes() {
			return "", &tooLargeError{resp.StatusCode}
		}
		if len(line) > 0 {
			e.read(line)
			continue
		}
		if end = t.heard(&e, last); end != "" {
			return end, nil
		}
		e, size = event{}, 0
	}
	switch {
	case errors.Is(lines.Err(), bufio.ErrTooLong):
		return "", &tooLargeError{resp.StatusCode}
	case !touched && ctx.Err() != nil && t.ctx.Err() == nil:
		return "none", nil // something on the way keeps events back
	}
	return "", &lostError{errors.Join(lines.Err(), errors.New("the stream has ended")), false}
}

// read takes a line of an event as the gateway writes it.
func (e *event) read(line []byte) {
	field, value, _ := bytes.Cut(line, []byte(":"))
	text := string(bytes.TrimPrefix(value, []byte(" ")))
	switch string(field) {
	case "id":
		e.id = text
	case "event":
		e.name = text
	case "data":
		if e.data != "" {
			e.data += "\n"
		}
		e.data += text
	}
}

// heard takes an event, and says how the stream ends with it; "": it goes on.
func (t *trip) heard(e *event, last *string) (end string) {
	if e.id != "" {
		*last = e.id
	}
	switch {
	case e.name == "progress":
		t.set.onProgress(json.RawMessage(e.data))
	case e.id == "end":
		return "over"
	case e.name == "timeout":
		return "timeout"
	}
	return ""
}
