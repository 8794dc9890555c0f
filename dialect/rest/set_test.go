package rest_test

import (
	"fmt"
	"sync"
	"testing"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/rest"
	"syncgate/signer"
)

// TestSetWhileServing replaces the configuration again and again while requests come. Each of them is answered under one configuration: a
// route with its own key, engine path and quotas, or none.
func TestSetWhileServing(t *testing.T) {
	of := func(n int) rest.Config {
		name := fmt.Sprint("r", n)
		return config([]rest.RouteConfig{route(name, "/a", withAuth(rest.AuthKey), func(r *rest.RouteConfig) { r.Limits.Parked = n + 1 })},
			rest.AccessConfig{Name: fmt.Sprint("e", n), Key: signer.Secret(fmt.Sprint("key", n)), Routes: []string{name}})
	}
	d := newDialect(t, of(0))
	var clients, reloads sync.WaitGroup
	over := make(chan struct{})
	reloads.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			default:
				if err := d.Set(of(i % 2)); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 4 {
		clients.Go(func() {
			for range 500 {
				serveOne(t, d)
			}
		})
	}
	clients.Wait()
	close(over)
	reloads.Wait()
}

// serveOne makes a request with the key of either configuration, and wants it to belong together.
func serveOne(t *testing.T, d *rest.Dialect) {
	t.Helper()
	accepted := 0
	r, _ := d.Route([]byte("/a"))
	for n := range 2 {
		c, err := d.Accept(request("POST /a", "", fmt.Sprint("X-Api-Key: key", n)), r, now)
		if err != nil {
			continue
		}
		accepted++
		if c.Login != fmt.Sprint("access/e", n) || c.Options.Route != fmt.Sprint("r", n) || c.Options.Quotas[0].Parked != n+1 || r.Name != c.Options.Route {
			t.Errorf("%d: %+v", n, c.Options)
		}
		if dst := answer(d, c, final(correlator.Complete, "{}", nil)); dst.StatusCode() != 200 {
			t.Error(dst.StatusCode())
		}
	}
	if accepted != 1 {
		t.Errorf("%d keys were good for one route", accepted)
	}
	if _, err := d.Task(request("GET /tasks/x", ""), dialect.Route{}, now); err != nil {
		t.Error(err)
	}
}
