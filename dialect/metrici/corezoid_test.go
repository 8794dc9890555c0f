package metrici_test

import (
	"crypto/sha1" //nolint:gosec // the vendor's signature
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"syncgate/correlator"
)

// A token of Corezoid's is as good at the dispatch endpoint, each op of a package with its own.
func TestDispatchOfCorezoid(t *testing.T) {
	s := newSite(t)
	n := s.nodes[0]
	s.says <- func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"request_proc":"ok","ops":[{"proc":"ok","obj":"task","obj_id":"1"},{"proc":"ok","obj":"task","obj_id":"2"}]}`))
	}
	const body = `{"timeout":20,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{}},{"type":"create","obj":"task","conv_id":1,"data":{}}]}`
	sum := sha1.Sum([]byte("1" + "s" + body + "s")) //nolint:gosec // the vendor's
	reply := make(chan answer, 1)
	go func() { reply <- n.do("POST /api/2/json/1/1/"+hex.EncodeToString(sum[:]), body) }()
	var task struct {
		Ops []struct {
			Data struct {
				URL string `json:"__callback_url"`
			}
		}
	}
	if w := s.next(t); json.Unmarshal([]byte(w.body), &task) != nil || len(task.Ops) != 2 {
		t.Fatalf("the engine gets %s", w.body)
	}
	var tokens []string
	for _, op := range task.Ops {
		token := op.Data.URL[strings.LastIndexByte(op.Data.URL, '/')+1:]
		if len(token) != correlator.TokenLen {
			t.Fatalf("%q is no token", token)
		}
		tokens = append(tokens, token)
		wantAnswer(t, n.do("GET /callback/dispatch?token="+token, ""), 200, `{"status":"open"}`)
	}
	wantAnswer(t, n.do(dispatch+tokens[1]+"&status=error", `{"message":"no stock"}`), 200, `{}`)
	wantAnswer(t, n.do("GET /callback/dispatch?token="+tokens[1], ""), 200, `{"status":"error"}`)
	wantAnswer(t, n.do("GET /callback/dispatch?token="+tokens[0], ""), 200, `{"status":"open"}`)
	a := n.do(dispatch+tokens[1], `{"late":1}`)
	wantAnswer(t, a, 200, `{}`)
	if a.header.Get("X-Callback-Status") != "error" {
		t.Errorf("%v", a.header)
	}
	wantAnswer(t, n.do(dispatch+tokens[0], `a=1`, formType), 200, `{}`)
	wantAnswer(t, soon(t, reply), 200, `{"request_proc":"ok","ops":[{"proc":"ok","data":{"a":"1"}},{"proc":"error","description":"no stock"}]}`)
}
