package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

// TestMetriciEngine has a worker work for a route of the configuration in docs/engines.md. It reports as to Metrici's own service.
func TestMetriciEngine(t *testing.T) {
	tokens := make(chan string, 1)
	g := documented(t, "metrici", func(w http.ResponseWriter, r *http.Request) {
		var task struct{ CallbackToken string }
		if err := json.Unmarshal([]byte(r.PostFormValue("data")), &task); err != nil || r.URL.Path != "/servicejson/ExecuteScript" || r.URL.Query().Get("nodeVersionReference") != "workers/packing" {
			t.Errorf("the worker gets %s %v: %v", r.URL, r.PostForm, err)
		}
		w.WriteHeader(http.StatusOK)
		tokens <- task.CallbackToken
	})
	c := caller(t, g.public, 2)
	answers := make(chan answer, 1)
	go func() {
		a, err := c.try("POST", "/v1/packing", `{"order":1}`)
		if err != nil {
			a.body = err.Error()
		}
		answers <- a
	}()
	token := soon(t, tokens)
	form := url.Values{
		"nodeVersionReference": {"callback/metrici"}, "action": {"callback"},
		"data": {fmt.Sprintf(`{"type":"CALLBACK","callbackToken":%q,"callbackStatus":"complete","callbackData":{"box":7}}`, token)},
	}
	said := c.ask(t, "POST", "/servicejson/ExecuteScript", form.Encode(), "Content-Type: application/x-www-form-urlencoded")
	wantAnswer(t, said, 200, fmt.Sprintf(`{"callbackToken":%q,"callbackStatus":"complete","callbackData":{"box":7,"order":1}}`, token))
	wantAnswer(t, soon(t, answers), 200, `{"box":7,"order":1}`)
	g.stop()
}
