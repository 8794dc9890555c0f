package main_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/internal/redistest"
	"syncgate/internal/whereabouts"
)

// TestWhereIsInACluster has a callback come too late, and to the other node: that node says so, and both know where the request is.
func TestWhereIsInACluster(t *testing.T) {
	r := redistest.StartTCP(t)
	e := simulate(t, func(c *enginesim.Config) {
		c.Behaviour.Delay = enginesim.Range{Min: 2 * time.Second, Max: 2 * time.Second}
	})
	at := free(t, 2)
	settings := append(shared(e.URL(), r), "SYNCGATE_CALLBACK_BASE_URL=http://"+at[1])
	home, other := serve(t, at[0], settings...), serve(t, at[1], settings...)
	eventually(t, "both are ready", func() bool { return home.ready() == 200 && other.ready() == 200 })
	body, _ := task("late")
	reply, err := caller(t, at[0], 1).create(strings.Replace(body, `"timeout":30`, `"timeout":0.5`, 1))
	if err != nil || reply.status != 200 {
		t.Fatalf("%+v %v", reply, err)
	}
	id := strings.TrimPrefix(reply.header.Get("Location"), "/api/1/tasks/")
	other.logged(`"op":0,"kept":true,"late":[0-9.]+,.*"message":"late callback"`)
	if kept := other.metric("syncgate_callbacks_total", `outcome="kept"`); kept != 1 {
		t.Errorf("%v callbacks were late and kept", kept)
	}
	ask := func(g *gate) (w whereabouts.Answer) {
		_, text := get(t, "http://"+g.admin+"/api/trips/"+id)
		if err := json.Unmarshal([]byte(text), &w); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		return w
	}
	there, here := ask(other), ask(home)
	if len(here.Trips) != 1 || here.Trips[0].Outcome != "timeout" || here.Home != "" || here.Node == "" {
		t.Errorf("its own node says %+v", here)
	}
	if len(there.Trips) != 0 || there.Home != here.Node || there.Record == nil || there.Record.Final != 1 {
		t.Errorf("the other node says %+v", there)
	}
}
