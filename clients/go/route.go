package syncgate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// callRoute makes the task of a route and gives its result.
func (t *trip) callRoute(route string, data any) (*Result, error) {
	if !strings.HasPrefix(route, "/") {
		return nil, errors.New("syncgate: route must be a path, which begins with /")
	}
	body, kind, err := encode(data, t.set.contentType)
	if err != nil {
		return nil, fmt.Errorf("syncgate: data: %w", err)
	}
	// A caller that may cancel needs to know the task early, and one that hears progress too. Redirects help nobody here.
	early := t.ctx.Done() != nil || t.set.onProgress != nil
	a, err := t.make(func() *request {
		h := t.set.header.Clone()
		if kind != "" {
			h.Set("Content-Type", kind)
		}
		h.Set("Prefer", "respond-async")
		if !early {
			h.Set("Prefer", "respond-async, wait="+strconv.Itoa(t.hold()))
		}
		return &request{t.set.method, route, h, body}
	})
	switch {
	case err != nil:
		return nil, err
	case a.goesOn:
		return t.follow()
	}
	return t.finish(a)
}

// encode gives the bytes of data, and their type.
func encode(data any, kind string) ([]byte, string, error) {
	switch data := data.(type) {
	case nil:
		return nil, "", nil
	case []byte:
		if kind == "" {
			kind = "application/octet-stream"
		}
		return data, kind, nil
	}
	body, err := json.Marshal(data)
	return body, "application/json", err
}

func (t *trip) finish(a *answer) (*Result, error) {
	if a.final && a.status < 300 {
		return &Result{a.status, a.header, a.body}, nil
	}
	return nil, t.failure(a)
}

// follow waits for the result of the task, for as long as the caller does.
func (t *trip) follow() (*Result, error) {
	streams, heard := t.set.onProgress != nil, ""
	for !t.over() {
		wait := t.hold()
		if t.set.onProgress != nil {
			wait = 0
		}
		if streams {
			var err error
			if streams, err = t.listen(); err != nil {
				return nil, err
			}
		}
		began := t.elapsed()
		a, err := t.ask("/tasks/"+t.task+"/result", wait)
		switch {
		case err != nil:
			return nil, err
		case !a.goesOn:
			t.maybe = !a.final
			return t.finish(a)
		}
		var is struct{ Progress json.RawMessage }
		if t.set.onProgress != nil && !streams && json.Unmarshal(a.body, &is) == nil && is.Progress != nil && string(is.Progress) != heard {
			heard = string(is.Progress)
			t.set.onProgress(is.Progress)
		}
		t.space(a, began)
	}
	if t.ctx.Err() != nil {
		return nil, t.abandon()
	}
	return nil, t.failed("timeout", "the wait has ended before the result came", nil)
}

// space keeps the distance between two questions that the gateway wants. One that was held has kept it.
func (t *trip) space(a *answer, began time.Duration) {
	least := time.Second
	if !strings.Contains(a.header.Get("Preference-Applied"), "wait=") {
		least = max(a.retryAfter(), least)
	}
	pause(t.ctx, min(began+least-t.elapsed(), t.remaining()))
}
