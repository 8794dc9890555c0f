package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"
)

// demoWorker is an engine in plain HTTP. It takes a task, reports progress, and calls back with the body that it was sent. If that is JSON and has a
// member "fail", the task fails, and the member is the reason. At demoInbox demoWorker is a receiver of notifications: it logs each.
type demoWorker struct {
	log    zerolog.Logger
	server *http.Server
	url    string
	busy   chan struct{} // one element a task that is worked on
	ended  context.Context
	end    context.CancelFunc
	client http.Client
}

const (
	demoSteps   = 3
	demoStep    = 400 * time.Millisecond
	demoTasks   = 1000    // at once
	demoLargest = 1 << 20 // bytes of a task
	demoInbox   = "/inbox"
	demoShown   = 512 // bytes of a notification
)

func startDemoWorker(log zerolog.Logger) (*demoWorker, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the demo's worker: %w", err)
	}
	w := &demoWorker{log: log, url: "http://" + l.Addr().String(), busy: make(chan struct{}, demoTasks), client: http.Client{Timeout: time.Second}}
	w.ended, w.end = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.Handle("/", w)
	mux.HandleFunc(demoInbox, w.receive)
	w.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = w.server.Serve(l) }() // ends with Close
	return w, nil
}

func (w *demoWorker) Close() {
	w.end()
	_ = w.server.Close()
	for range demoTasks { // those that are worked on have seen the end
		w.busy <- struct{}{}
	}
	w.client.CloseIdleConnections()
}

// ServeHTTP takes a task.
func (w *demoWorker) ServeHTTP(dst http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(dst, r.Body, demoLargest))
	url := r.Header.Get("X-Callback-Url")
	if err != nil || url == "" {
		dst.WriteHeader(http.StatusBadRequest)
		return
	}
	select {
	case w.busy <- struct{}{}:
	default:
		dst.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	dst.WriteHeader(http.StatusAccepted)
	go func() {
		defer func() { <-w.busy }()
		w.work(url, r.Header.Get("Content-Type"), body)
	}()
}

// receive takes a notification.
func (w *demoWorker) receive(dst http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(dst, r.Body, demoLargest))
	if err != nil {
		dst.WriteHeader(http.StatusBadRequest)
		return
	}
	w.log.Info().Str("webhook_id", r.Header.Get("Webhook-Id")).Msg("received: " + string(body[:min(len(body), demoShown)]))
}

func (w *demoWorker) work(url, contentType string, body []byte) {
	for step := 1; step <= demoSteps; step++ {
		select {
		case <-w.ended.Done():
			return
		case <-time.After(demoStep):
		}
		w.call(url, "progress", "application/json", fmt.Appendf(nil, `{"step":%d,"of":%d}`, step, demoSteps))
	}
	var task struct {
		Fail string `json:"fail"`
	}
	if json.Unmarshal(body, &task) == nil && task.Fail != "" {
		failure, _ := json.Marshal(map[string]string{"message": task.Fail}) // a map of strings never fails
		w.call(url, "error", "application/json", failure)
		return
	}
	w.call(url, "complete", contentType, body)
}

func (w *demoWorker) call(url, status, contentType string, body []byte) {
	req, err := http.NewRequestWithContext(w.ended, http.MethodPost, url, bytes.NewReader(body)) //nolint:gosec // it is the gateway that asks
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("X-Callback-Status", status)
	if resp, err := w.client.Do(req); err == nil { //nolint:gosec // as above; the gateway's log says what it heard
		_ = resp.Body.Close()
	}
}
