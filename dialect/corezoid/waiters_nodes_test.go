package corezoid_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect/waiter"
	"syncgate/internal/redistest"
)

// Ops of these tests.
func createOp(process, ref string) string {
	return fmt.Sprintf(`{"id":"i","type":"create","obj":"task","conv_id":%s,"ref":%q,"data":{"a":1,"b":1}}`, process, ref)
}

func modifyOp(process, ref, data string) string {
	return fmt.Sprintf(`{"id":9,"type":"modify","obj":"task","conv_id":%s,"ref":%q,"data":%s}`, process, ref, data)
}

// refusedOp is the answer to an op of the two.
func refusedOp(op, why string) string {
	id, rest, _ := strings.Cut(strings.TrimPrefix(op, `{"id":`), ",")
	_, ref, _ := strings.Cut(rest, `"ref":`)
	ref, _, _ = strings.Cut(ref, ",")
	return fmt.Sprintf(`{"proc":"error","id":%s,"ref":%s,"description":%q}`, id, ref, why)
}

// A modify at one node completes what waits at another one, without any engine.
func TestModifyCompletes(t *testing.T) {
	eachStation(t, func(t *testing.T, s *station) {
		reply := s.create(strings.Replace(createOp("2", "o-1"), `"b":1`, `"b":1,"__callback_url":"theirs"`, 1))
		s.bound("2", "o-1")
		h := s.at(s.other(), modifyOp("2", "o-1", `{"\u005f_callback_url":"theirs","b":2}`))
		prefix, suffix := `{"request_proc":"ok","ops":[{"id":9,"proc":"ok","obj":"task","ref":"o-1","obj_id":"`, `"}]}`
		if h.status != 200 || !strings.HasPrefix(h.body, prefix) || !strings.HasSuffix(h.body, suffix) {
			t.Errorf("the modifier hears %+v", h)
		}
		s.wantOps(s.answered(reply), `{"proc":"ok","id":"i","ref":"o-1","data":{"a":1,"b":2}}`)
		again := modifyOp("2", "o-1", `{"b":3}`)
		s.wantOps(s.at(s.other(), again), refusedOp(again, "no api callback logic in node with task"))

		reply = s.create(createOp("2", "o-1")) // a finished name is free, and our own id is one too
		s.bound("2", "o-1")
		to, err := s.other().names.Take(t.Context(), correlator.Name{Process: "2", Key: waiter.KeyRef, Text: "o-1"}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		busy := modifyOp("2", "o-1", `{}`)
		s.wantOps(s.at(s.other(), busy), refusedOp(busy, "The last one callback is still running. You should wait"))
		_ = s.other().names.Finish(t.Context(), correlator.Name{Process: "2", Key: waiter.KeyRef, Text: "o-1"}, to.ID, to.Op, false)
		task := waiter.TaskID(to.ID, 0)
		s.wantOps(s.at(s.other(), `{"type":"modify","obj":"task","conv_id":"2","ref":null,"obj_id":"`+task+`"}`), `{"proc":"ok","obj":"task","ref":null,"obj_id":"`+task+`"}`)
		s.wantOps(s.answered(reply), `{"proc":"ok","id":"i","ref":"o-1","data":{"a":1,"b":1}}`)
		s.unasked()
	})
}

// A package may create and modify the same task, in either order, beside ops that the engine gets.
func TestCreateAndModifyInOnePackage(t *testing.T) {
	eachStation(t, func(t *testing.T, s *station) {
		for i, pack := range []string{"C,M", "M,C", "C," + otherOp + ",M", "M," + otherOp + `,C,{"type":"x","obj":"y"}`} {
			s.wantBoth(fmt.Sprint("o-", i), pack)
		}
	})
}

const otherOp = `{"id":"z","type":"modify","obj":"task","conv_id":9,"ref":"z","data":{}}`

// wantBoth wants that the create C of a package is completed by its modify M.
func (s *station) wantBoth(ref, pack string) {
	s.t.Helper()
	h := s.at(s.home(), strings.NewReplacer("C", createOp("2", ref), "M", modifyOp("2", ref, `{"b":2}`)).Replace(pack))
	for _, part := range []string{`{"proc":"ok","id":"i","ref":"` + ref + `","data":{"a":1,"b":2}}`, `{"id":9,"proc":"ok","obj":"task","ref":"` + ref + `","obj_id":"`} {
		if h.status != 200 || !strings.Contains(h.body, part) {
			s.t.Errorf("%s: %+v", pack, h)
		}
	}
	if strings.Index(pack, "C") < strings.Index(pack, "M") != (strings.Index(h.body, `"i"`) < strings.Index(h.body, `"id":9`)) {
		s.t.Errorf("not in the client's order: %s", h.body)
	}
	if !strings.Contains(pack, otherOp) {
		s.unasked()
	} else if got := s.asked(); got.body != `{"ops":[`+otherOp+`]}` || !strings.Contains(h.body, `{"id":"z","proc":"ok","obj":"task","obj_id":"e`) {
		s.t.Errorf("the engine gets %s, the client %s", got.body, h.body)
	}
}

// Of many modifies of one task at the same time one completes it, and each other one hears why not.
func TestManyModifiesOfOneTask(t *testing.T) {
	eachStation(t, func(t *testing.T, s *station) {
		const all = 50
		reply := s.create(createOp("2", "o"))
		s.bound("2", "o")
		var running sync.WaitGroup
		heards := make(chan heard, all)
		for i := range all {
			running.Go(func() { heards <- s.at(s.nodes[i%len(s.nodes)], modifyOp("2", "o", fmt.Sprintf(`{"b":%d}`, i))) })
		}
		running.Wait()
		close(heards)
		counts := make(map[string]int)
		for h := range heards {
			for _, word := range []string{`"proc":"ok","obj":"task"`, "no api callback logic in node with task", "The last one callback is still running. You should wait"} {
				if h.status == 200 && strings.Contains(h.body, word) {
					counts[word]++
				}
			}
		}
		if h := s.answered(reply); counts[`"proc":"ok","obj":"task"`] != 1 || len(heards) != 0 || sum(counts) != all || !strings.Contains(h.body, `"proc":"ok"`) {
			t.Errorf("%v, and the client hears %+v", counts, h)
		}
	})
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// Two open tasks cannot have the same name: the second is refused, at whatever node, and the rest of its package goes on.
func TestSecondTaskOfAName(t *testing.T) {
	eachStation(t, func(t *testing.T, s *station) {
		first := s.create(createOp("2", "o") + "," + createOp("1", "o")) // names of different processes have nothing in common
		s.asked()
		s.bound("2", "o")
		s.bound("1", "o")
		const plain = `{"id":"p","type":"modify","obj":"task","conv_id":7,"ref":"p","data":{"x":1.0}}`
		h := s.at(s.other(), createOp("2", "o")+","+plain+","+createOp("1", "o"))
		s.wantOps(h, refusedOp(createOp("2", "o"), "not unical reference")+`,{"id":"p","proc":"ok","obj":"task","obj_id":"e2","ref":"p"},`+refusedOp(createOp("1", "o"), "not unical reference"))
		if got := s.asked(); got.body != `{"ops":[`+plain+`]}` {
			t.Errorf("the engine gets %s", got.body)
		}
		s.wantOps(s.at(s.other(), createOp("1", "o")), refusedOp(createOp("1", "o"), "not unical reference"))
		s.unasked()
		_ = s.at(s.other(), modifyOp("2", "o", `{}`)+","+modifyOp("1", "o", `{}`))
		s.asked()
		if h := s.answered(first); strings.Count(h.body, `"proc":"ok"`) != 2 {
			t.Errorf("%+v", h)
		}
	})
}

// A modify that comes first waits for its task. One whose task does not come hears so.
func TestEarlyModify(t *testing.T) {
	eachStation(t, func(t *testing.T, s *station) {
		early := make(chan heard, 1)
		go func() { early <- s.at(s.other(), modifyOp("2", "o", `{"b":2}`)) }()
		select {
		case h := <-early:
			t.Errorf("answered in advance: %+v", h)
		case <-time.After(200 * time.Millisecond):
		}
		s.wantOps(s.answered(s.create(createOp("2", "o"))), `{"proc":"ok","id":"i","ref":"o","data":{"a":1,"b":2}}`)
		if h := s.answered(early); !strings.Contains(h.body, `"proc":"ok"`) {
			t.Errorf("%+v", h)
		}
		none := modifyOp("2", "none", `{}`)
		began := time.Now()
		s.wantOps(s.at(s.other(), none), refusedOp(none, "not found task"))
		if took := time.Since(began); took < 900*time.Millisecond {
			t.Errorf("it was held for %v", took)
		}
	}, func(c *waiter.Config) { c.Early = time.Second })
}

// Where the engine gets the ops, its ok completes; what it refuses does not, and gives its name back.
func TestForwardedModify(t *testing.T) {
	eachStation(t, func(t *testing.T, s *station) {
		refused := strings.Replace(createOp("1", "o"), `"b":1`, `"refuse":true`, 1)
		s.wantOps(s.at(s.home(), refused), `{"id":"i","proc":"error","description":"no","ref":"o"}`)
		s.asked()
		waitUntil(t, "the name of what was refused is free", func() bool {
			_, err := s.other().names.Take(t.Context(), correlator.Name{Process: "1", Key: waiter.KeyRef, Text: "o"}, time.Second)
			return errors.Is(err, correlator.ErrNameUnknown)
		})
		reply := s.create(createOp("1", "o"))
		if p := s.asked(); p.ops[0].Data.URL == "" {
			t.Errorf("no callback URL: %s", p.body)
		}
		s.bound("1", "o")
		no := strings.Replace(modifyOp("1", "o", `{"b":2}`), `"b":2`, `"refuse":true`, 1)
		s.wantOps(s.at(s.other(), no), `{"id":9,"proc":"error","description":"no","ref":"o"}`)
		s.asked()
		body := `{"ops":[` + modifyOp("1", "o", `{"b":5,"__callback_url":"x"}`) + `]}`
		if h := s.signed(s.other(), otherLogin, otherSecret, body); !strings.Contains(h.body, `"proc":"ok"`) { // it may not complete
			t.Errorf("%+v", h)
		}
		if got := s.asked(); got.body != `{"ops":[`+modifyOp("1", "o", `{"b":5}`)+`]}` {
			t.Errorf("the engine gets %s", got.body)
		}
		select {
		case h := <-reply:
			t.Errorf("completed by what may not: %+v", h)
		case <-time.After(100 * time.Millisecond):
		}
		if h := s.at(s.other(), modifyOp("1", "o", `{"b":2}`)); !strings.Contains(h.body, `{"id":9,"proc":"ok","obj":"task","obj_id":"e`) {
			t.Errorf("%+v", h)
		}
		s.wantOps(s.answered(reply), `{"proc":"ok","id":"i","ref":"o","data":{"a":1,"b":2}}`)

		s.asked()
		reply = s.create(createOp("1", "by-id")) // the engine's id is a name, once it has said it
		s.asked()
		s.mu.Lock()
		task := fmt.Sprint("e", s.made)
		s.mu.Unlock()
		waitUntil(t, "the engine's id is a name", func() bool {
			_ = s.at(s.other(), `{"type":"modify","obj":"task","conv_id":1,"obj_id":"`+task+`","data":{"b":7}}`)
			s.asked()
			return len(reply) == 1
		})
		s.wantOps(s.answered(reply), `{"proc":"ok","id":"i","ref":"by-id","data":{"a":1,"b":7}}`)
	})
}

// What completes a task whose client has left is kept for it.
func TestLateModify(t *testing.T) {
	eachStation(t, func(t *testing.T, s *station) {
		for _, process := range []string{"1", "2"} {
			h := s.signed(s.home(), login, secret, `{"timeout":0.2,"ops":[`+createOp(process, "o")+`]}`)
			s.wantOps(h, refusedOp(createOp(process, "o"), "Timeout for create task"))
			location := h.header.Get("Location")
			if h := s.do(s.other(), http.MethodGet, location, ""); h.status != 202 {
				t.Errorf("%+v", h)
			}
			if h := s.at(s.other(), modifyOp(process, "o", `{"b":2}`)); !strings.Contains(h.body, `"proc":"ok"`) {
				t.Errorf("%+v", h)
			}
			waitUntil(t, "the result is there", func() bool { return s.do(s.home(), http.MethodGet, location, "").status == 200 })
			for _, n := range s.nodes {
				s.wantOps(s.do(n, http.MethodGet, location, ""), `{"proc":"ok","id":"i","ref":"o","data":{"a":1,"b":2}}`)
			}
		}
	})
}

// post sends a request of the route to a process and gives its answer by channel.
func (s *station) post(process, body string, header ...string) <-chan heard {
	c := make(chan heard, 1)
	go func() {
		c <- s.do(s.home(), http.MethodPost, "/r/"+process, body, append([]string{"Content-Type", "application/json"}, header...)...)
	}()
	return c
}

// completeOrder completes the task of process 3 that has the number of an order.
func (s *station) completeOrder(no string) {
	s.t.Helper()
	h := s.at(s.other(), `{"type":"modify","obj":"task","conv_id":3,"obj_id":"`+s.taskOf("3", "data.order.no", no)+`","data":{"paid":true}}`)
	if !strings.Contains(h.body, `"proc":"ok"`) {
		s.t.Errorf("%+v", h)
	}
}

// wantHeard wants a status, and a body with a text in it.
func wantHeard(t *testing.T, h heard, status int, text string) {
	t.Helper()
	if h.status != status || !strings.Contains(h.body, text) {
		t.Errorf("%+v\nwant %d %s", h, status, text)
	}
}

// A route to a waiter's process: held, handed over, with events, and refused where its task has no name or another's.
func TestRoutesOfWaiters(t *testing.T) {
	eachStation(t, func(t *testing.T, s *station) {
		reply := s.post("3", `{"order":{"no":17}}`, "Prefer", "wait=10")
		s.completeOrder("17")
		if h := s.answered(reply); h.status != 200 || h.body != `{"order":{"no":17},"paid":true}` {
			t.Errorf("%+v", h)
		}
		h := s.answered(s.post("3", `{"order":{"no":"18"}}`, "Prefer", "respond-async"))
		location := h.header.Get("Location")
		if h.status != 202 || location == "" {
			t.Fatalf("%+v", h)
		}
		wantHeard(t, s.answered(s.post("3", `{"order":{"no":18}}`)), 502, "not unical reference")
		s.completeOrder("18")
		for _, n := range s.nodes {
			wantHeard(t, s.do(n, http.MethodGet, location, ""), 200, `{"order":{"no":"18"},"paid":true}`)
		}
		events := s.post("3", `{"order":{"no":19}}`, "Accept", "text/event-stream")
		s.completeOrder("19")
		h = s.answered(events)
		wantHeard(t, h, 200, "event: accepted\n")
		wantHeard(t, h, 200, `data: {"order":{"no":19},"paid":true}`)
		wantHeard(t, s.answered(s.post("3", `{"order":{}}`)), 400, "data.order.no must be")
		wantHeard(t, s.answered(s.post("2", `{"ref":"x"}`)), 400, "ref must be") // tasks of routes have none
		s.unasked()
	})
}

// taskOf waits until an op has a name, and gives our id of its task.
func (s *station) taskOf(process, key, text string) (task string) {
	s.t.Helper()
	waitUntil(s.t, text+" is a name", func() bool {
		n := correlator.Name{Process: process, Key: key, Text: text}
		to, err := s.other().names.Take(context.Background(), n, time.Second)
		if err != nil {
			return false
		}
		task = waiter.TaskID(to.ID, to.Op)
		return s.other().names.Finish(context.Background(), n, to.ID, to.Op, false) == nil
	})
	return task
}

// While the store is away what needs a name is refused, and the engine does not get it.
func TestNamesNeedTheStore(t *testing.T) {
	r := redistest.Start(t)
	s := newStation(t, r)
	r.Kill()
	for _, process := range []string{"1", "2"} {
		if h := s.at(s.home(), createOp(process, "o")); h.status != 503 || h.header.Get("X-Syncgate-Forwarded") != "no" {
			t.Errorf("%+v", h)
		}
	}
	s.unasked()
}

// Who has the end of a task in hand can have the next one of the same name, at whatever node.
func TestNameIsFreeWithTheReply(t *testing.T) {
	eachStation(t, func(t *testing.T, s *station) {
		refused := strings.Replace(createOp("1", "o"), `"b":1`, `"refuse":true`, 1)
		for i := range 30 {
			at := s.nodes[i%len(s.nodes)]
			s.wantOps(s.at(at, refused), `{"id":"i","proc":"error","description":"no","ref":"o"}`) // the engine has refused it
			s.asked()
			reply := make(chan heard, 1)
			go func() { reply <- s.at(s.nodes[(i+1)%len(s.nodes)], createOp("1", "o")) }()
			url := s.asked().ops[0].Data.URL // the process calls back
			token := url[strings.LastIndexByte(url, '/')+1:]
			if h := s.do(s.other(), http.MethodPost, "/api/1/plugins/callback/"+token, `{"done":1}`, "Content-Type", "application/json"); h.status != 200 {
				t.Errorf("%+v", h)
			}
			s.wantOps(s.answered(reply), `{"proc":"ok","id":"i","ref":"o","data":{"done":1}}`)
			go func() { reply <- s.at(at, createOp("2", "o")) }() // completed by name
			s.bound("2", "o")
			if h := s.at(s.other(), modifyOp("2", "o", `{}`)); !strings.Contains(h.body, `"proc":"ok"`) {
				t.Errorf("%+v", h)
			}
			s.wantOps(s.answered(reply), `{"proc":"ok","id":"i","ref":"o","data":{"a":1,"b":1}}`)
		}
	})
}
