// Command subscribe is a gateway as one writes it with net/http and go-redis: each request subscribes to a channel of its
// own, and the callback, wherever it lands, is published to the channel. It verifies nothing and logs nothing.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	_ "net/http/pprof" //nolint:gosec // on an address of its own
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	timeout = 5 * time.Minute
	maxBody = 1 << 20
	// connections to the engine are kept, or each request would make one.
	connections = 1024
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` of clients and callbacks")
	admin := flag.String("admin", "", "`address` of /debug/pprof; empty: none")
	engine := flag.String("engine", "127.0.0.1:9000", "`address` of the engine")
	server := flag.String("redis", "127.0.0.1:6379", "`address` of Redis")
	flag.Parse()
	if *admin != "" {
		go func() {
			log.Fatal((&http.Server{Addr: *admin, ReadHeaderTimeout: time.Second}).ListenAndServe())
		}()
	}
	g := newGateway(*listen, *engine, *server)
	s := http.Server{Addr: *listen, Handler: g.routes(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second}
	log.Fatal(s.ListenAndServe())
}

type gateway struct {
	listen, engine string
	client         http.Client
	redis          *redis.Client
}

func newGateway(listen, engine, server string) *gateway {
	return &gateway{
		listen: listen,
		engine: engine,
		client: http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections}},
		redis:  redis.NewClient(&redis.Options{Addr: server}),
	}
}

func (g *gateway) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/", g.create)
	mux.HandleFunc("POST /callback/{channel}", g.callback)
	return mux
}

// create subscribes, forwards, and waits for what is published.
func (g *gateway) create(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	channel := rand.Text()
	sub := g.redis.Subscribe(ctx, channel)
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(ctx); err != nil { // the confirmation: the callback may come before the engine's own answer
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	body, err := withCallback(io.LimitReader(r.Body, maxBody), "http://"+g.listen+"/callback/"+channel)
	if err == nil {
		err = g.forward(ctx, r.URL.Path, body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	select {
	case m := <-sub.Channel():
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, m.Payload)
	case <-ctx.Done():
		http.Error(w, ctx.Err().Error(), http.StatusGatewayTimeout)
	}
}

// withCallback reads a package and puts the callback URL into the data of its operations.
func withCallback(r io.Reader, url string) ([]byte, error) {
	var body struct {
		Ops []map[string]any `json:"ops"`
	}
	if err := json.NewDecoder(r).Decode(&body); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	for _, op := range body.Ops {
		data, ok := op["data"].(map[string]any)
		if !ok {
			return nil, errors.New("read the request: data is no object")
		}
		data["__callback_url"] = url
	}
	return json.Marshal(body)
}

func (g *gateway) forward(ctx context.Context, path string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+g.engine+path, bytes.NewReader(body)) //nolint:gosec // the host is ours
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.client.Do(req) //nolint:gosec // the same
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the engine answers %s", resp.Status)
	}
	return err
}

// callback publishes its body to the one that waits.
func (g *gateway) callback(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err == nil {
		err = g.redis.Publish(r.Context(), r.PathValue("channel"), body).Err()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{}")
}
