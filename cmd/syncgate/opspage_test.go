//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"syncgate/signer"
)

// demoNode is a running "syncgate demo".
type demoNode struct {
	t             *testing.T
	public, admin string
	client        http.Client
	calls         sync.WaitGroup
}

// startDemoNode starts "syncgate demo" as docs/page.md does, at addresses of its own, and wants that it prints the address of its page.
func startDemoNode(t *testing.T) *demoNode {
	t.Helper()
	at := free(t, 2)
	d := &demoNode{t: t, public: at[0], admin: at[1], client: http.Client{Timeout: 2 * patience, Transport: new(http.Transport)}}
	text, err := os.ReadFile("../../docs/page.md")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), "<!-- test: demo -->\n```sh\n")
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(strings.NewReplacer("127.0.0.1:8080", d.public, "127.0.0.1:9090", d.admin).Replace(line))
	if !slices.Contains(words, d.public) || !slices.Contains(words, d.admin) {
		t.Fatalf("docs/page.md starts the demo by %q", line)
	}
	command, log := exec.Command(words[0], words[1:]...), new(logbook)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		d.calls.Wait()
		d.client.CloseIdleConnections()
		if t.Failed() {
			t.Log(log)
		}
	})
	eventually(t, "the demo says where its page is", func() bool { return strings.Contains(log.String(), "http://"+d.admin+"/\n") })
	return d
}

// call makes a task by the Sync API, as the client of the demo, and gives the answer.
func (d *demoNode) call(requestID, body string) (status int, header http.Header, answer string) {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	path := "/api/1/json/demo/" + now + "/" + string(signer.AppendSignature(nil, []byte(now), []byte("demo-secret"), []byte(body)))
	return d.post(path, body, "X-Request-Id: "+requestID)
}

// post sends a request to the public listener. A header is written as in HTTP.
func (d *demoNode) post(path, body string, headers ...string) (status int, header http.Header, answer string) {
	req, err := http.NewRequest(http.MethodPost, "http://"+d.public+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	r, err := d.client.Do(req)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, r.Header, string(b)
}

const parkedCalls = 7

// park leaves clients waiting: some of the Sync API, some of routes.
func (d *demoNode) park() {
	d.t.Helper()
	for i := range parkedCalls {
		d.calls.Go(func() {
			d.call(fmt.Sprintf("order-%d", 4711+i), fmt.Sprintf(`{"timeout":40,"ops":[{"conv_id":%d,"type":"create","obj":"task","ref":"invoice-%d","data":{"__sim":{"callback":"never"}}}]}`, 1201+i%3, 90210+7*i))
		})
	}
	for range 12 {
		d.calls.Go(func() { d.post("/v1/greetings", `{"hello":"world"}`) })
	}
	for i := range 20 {
		d.calls.Go(func() {
			d.call(fmt.Sprintf("transfer-%d", 100+i), `{"timeout":20,"ops":[{"conv_id":1201,"type":"create","obj":"task","data":{"n":1}}]}`)
		})
	}
	d.calls.Go(func() { d.post("/v1/greetings", `{"fail":"the account is closed"}`) })
}

// trips asks the API for the trips that have a name.
func (d *demoNode) trips(name string) (trips []tripNames) {
	_, body := get(d.t, "http://"+d.admin+"/api/trips/"+name)
	var found struct{ Trips []tripNames }
	_ = json.Unmarshal([]byte(body), &found)
	return found.Trips
}

type tripNames struct {
	RequestID string `json:"request_id"`
	Trip      string `json:"trip"`
	Outcome   string `json:"outcome"`
	Ops       []struct {
		Ref        string `json:"ref"`
		EngineTask string `json:"engine_task"`
	} `json:"ops"`
}

// TestOperatorsPage: the page of "syncgate demo" shows a demo call arrive, explains a time-out, finds a trip by each of its names, and sends a notification again. It
// asks nobody but the listener that served it, and the console has no error.
func TestOperatorsPage(t *testing.T) {
	d := startDemoNode(t)
	p := openTab(t, d.admin)
	p.expect(func(entry string) bool { // the page asks for a demo call before that has arrived, for names that nobody has, and with a filter that there is not
		return strings.Contains(entry, "404") && strings.Contains(entry, "/api/trips/") || strings.Contains(entry, "400") && strings.Contains(entry, "state=sideways")
	})
	p.shows("#live", "live")
	p.shows("#states", "Node", "ready", "Correlator", "in memory", "Engine worker", "breaker closed")
	p.clean()
	for _, step := range []struct {
		name string
		run  func(d *demoNode, p *tab)
	}{
		{"nothing", seesEmptyStates},
		{"result", seesDemoCall},
		{"timeout", seesTimeout},
		{"parked", seesParked},
		{"search", findsByEachName},
		{"text", showsTextAsText},
		{"late", seesLateResult},
		{"callbacks", seesEachCallback},
		{"many callbacks", seesManyCallbacks},
		{"young", drawsYoungTrips},
		{"notification", sendsAgain},
		{"cancel", cancelsTrip},
		{"keyboard", opensByKeyboard},
		{"narrow", fitsNarrowScreen},
		{"theme", hasTwoThemes},
	} {
		t.Run(step.name, func(inner *testing.T) {
			p.t, d.t = inner, inner
			defer func() { p.t, d.t = t, t }()
			step.run(d, p)
			p.clean()
		})
	}
}

func seesEmptyStates(_ *demoNode, p *tab) {
	t := p.t
	p.shows("main", "Nothing is in flight", "Try it")
	for hash, want := range map[string]string{
		"#/late": "No callback has come late", "#/notifications": "There are no notifications that are open", "#/waiters": "This node has no waiters",
		"#/warnings": "The log has no warning", "#/trips": "No trip in flight fits", "#/nowhere": "No such part", "#/trips/nobody": "This node knows no such trip",
	} {
		p.goTo(hash)
		p.shows("main", want)
	}
	p.goTo("#/configuration")
	p.shows("main pre", "listen:", "admin:")
	if text := p.text("main pre"); strings.Contains(text, "demo-secret") || strings.Contains(text, "demo-key") {
		t.Error("the page shows a secret of the configuration")
	}
}

func seesDemoCall(d *demoNode, p *tab) {
	t := p.t
	p.goTo("#/")
	p.click("#demo-result")
	p.shows(".timeline", "Accepted", "Forwarded", "to come", "Waits for the callback", "Deadline")
	p.shows(".timeline", "Accepted", "Forwarded", "Engine answered", "status 200", "Callback", "the result", "Replied: complete", "status 200")
	p.shows("#announcement", "The trip is over: complete.")
	if hash := evaluate[string](p, `location.hash`); !regexp.MustCompile(`^#/trips/demo-[0-9a-f]+$`).MatchString(hash) {
		t.Errorf("the address is %s", hash)
	}
	if list := p.text(".timeline"); strings.Contains(list, "to come") {
		t.Errorf("the timeline is not complete: %s", list)
	}
	p.shoot("page-timeline-light", 900)
}

func seesTimeout(_ *demoNode, p *tab) {
	p.goTo("#/")
	p.click("#demo-timeout")
	p.shows(".timeline", "Deadline", "Waits for the callback")
	p.shows(".timeline", "Time-out", "the deadline came before the result", "Kept until")
	p.shows(".next", "What to check next", "callback.base_url")
	for _, theme := range []string{"light", "dark"} {
		p.scheme(theme)
		p.shoot("page-timeout-"+theme, 1000)
	}
	p.scheme("light")
}

func seesParked(d *demoNode, p *tab) {
	d.park()
	p.goTo("#/")
	p.shows("main", "order-4711", "order-4717", "invoice-90210", "greetings", "corezoid", "complete")
	p.shows("main", "1 failed", "12 complete", "21 complete", "1 timeout", "ended trips of the")
	p.shows("title", "(7)")
	for _, theme := range []string{"light", "dark"} {
		p.scheme(theme)
		p.shoot("page-parked-"+theme, 960)
	}
	p.scheme("light")
	p.goTo("#/trips?state=in_flight&route=nobody's")
	p.shows("main", "No trip in flight fits the filter")
	p.goTo("#/trips?state=over&outcome=failed")
	p.shows("main", "1 trip", "failed", "greetings")
	p.goTo("#/trips?state=sideways")
	p.shows("main [role=alert]", "state")
}

func findsByEachName(d *demoNode, p *tab) {
	t := p.t
	status, header, answer := d.call("find-me", `{"timeout":1,"ops":[{"conv_id":1,"type":"create","obj":"task","ref":"ref of Олена/?#","data":{"__sim":{"callback":"never"}}}]}`)
	var trips []tripNames
	eventually(t, "the trip is over", func() bool { trips = d.trips("find-me"); return len(trips) == 1 && trips[0].Outcome == "timeout" })
	location := header.Get("Location")
	if status != 200 || len(trips) != 1 || len(trips[0].Ops) != 1 || trips[0].Ops[0].EngineTask == "" || trips[0].Trip == "" || location == "" {
		t.Fatalf("%d %s, %+v, Location %q", status, answer, trips, location)
	}
	for _, name := range []string{"find-me", trips[0].Trip, trips[0].Ops[0].EngineTask, "ref of Олена/?#", location[strings.LastIndex(location, "/")+1:]} {
		p.goTo("#/late")
		p.shows("h1", "Late results")
		p.search(name)
		p.shows("h1", name)
		p.shows(".facts", "find-me")
		p.shows(".timeline", "Time-out")
	}
	p.search("nobody-has-this")
	p.shows("main", "This node knows no such trip")
}

// showsTextAsText: what a client writes is text.
func showsTextAsText(d *demoNode, p *tab) {
	t := p.t
	const ref = `<img src=x onerror=alert(1)><b>bold`
	body, _ := json.Marshal(map[string]any{"timeout": 20, "ops": []any{map[string]any{"conv_id": 1, "type": "create", "obj": "task", "ref": ref, "data": map[string]any{}}}})
	if status, _, answer := d.call("with-markup", string(body)); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	p.search(ref)
	p.shows("h1", ref)
	p.shows("main", "with-markup", ref)
	p.goTo("#/trips?state=over")
	p.shows("main", "with-markup", "ref "+ref)
	if n := evaluate[int](p, `document.querySelectorAll("main img, main b b").length`); n != 0 {
		t.Errorf("a ref has become %d elements", n)
	}
}

// seesLateResult: a callback that comes after the time-out is part of the timeline, and of the late results.
func seesLateResult(d *demoNode, p *tab) {
	p.search("late-one")
	p.shows("main", "This node knows no such trip")
	d.call("late-one", `{"timeout":1,"ops":[{"conv_id":1,"type":"create","obj":"task","data":{"__sim":{"delay_ms":1500}}}]}`)
	p.shows(".timeline", "Time-out", "Late callback", "its result is kept", "Kept until")
	p.goTo("#/late")
	p.shows("main table", "kept for its client")
	p.click("main tbody th a")
	p.shows(".facts", "late-one")
}

// pageReceiver is one of notifications, whose answer can be changed.
type pageReceiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
}

func newPageReceiver(t *testing.T, status int) *pageReceiver {
	r := &pageReceiver{status: status}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *pageReceiver) set(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func sendsAgain(d *demoNode, p *tab) {
	t := p.t
	r := newPageReceiver(t, http.StatusServiceUnavailable)
	for range 2 {
		if status, _, answer := d.post("/v1/feeds/tasks", `{"feed":"shoes","callbackUrl":"`+r.URL+`/?secret=1"}`, "Authorization: Bearer demo-key"); status >= 300 {
			t.Fatalf("%d %s", status, answer)
		}
	}
	p.goTo("#/notifications")
	// After the second attempt the next one is minutes away.
	eventually(t, "two notifications have failed twice", func() bool { return strings.Count(p.text("main table"), "\t2\tstatus (503)\tin 4 min") == 2 })
	p.shows("main table", r.Listener.Addr().(*net.TCPAddr).String(), "open")
	p.click("main td a, main tbody th a")
	p.shows(".facts", "open", "?…")
	p.shows("main", "the last one", "status", "503")
	if strings.Contains(p.text("main"), "secret") {
		t.Error("the page shows the query of a URL")
	}
	r.set(http.StatusNoContent)
	p.click("#retry")
	p.shows("dialog[open]", "Send it now?")
	p.key("Escape", 27)
	eventually(t, "the question is closed", func() bool {
		return evaluate[bool](p, `!document.querySelector("dialog[open]") && document.activeElement.id === "retry"`)
	})
	p.click("#retry")
	p.click("dialog[open] #question-yes")
	p.shows(".facts", "delivered")
	p.shows("main", "It is sent now.")
	p.goTo("#/notifications")
	p.click("main tbody th a")
	p.click("#drop")
	p.click("dialog[open] #question-yes")
	p.shows("main", "It is dropped.")
	p.goTo("#/notifications")
	p.shows("main", "There are no notifications that are open")
}

func cancelsTrip(d *demoNode, p *tab) {
	d.calls.Go(func() {
		d.call("cancel-me", `{"timeout":30,"ops":[{"conv_id":1,"type":"create","obj":"task","data":{"__sim":{"callback":"never"}}}]}`)
	})
	p.search("cancel-me")
	p.shows(".timeline", "Waits for the callback")
	p.click(".trip .danger")
	p.shows("dialog[open]", "Cancel this trip?", "cancel-me")
	p.click("dialog[open] #question-yes")
	p.shows(".facts", "cancelled")
	p.shows(".actions", "The trip was cancelled.")

	d.call("cancel-kept", `{"timeout":0.2,"ops":[{"conv_id":1,"type":"create","obj":"task","data":{"__sim":{"callback":"never"}}}]}`) // its task is kept open
	p.search("cancel-kept")
	p.shows(".facts", "timeout")
	p.click(".trip .danger")
	p.click("dialog[open] #question-yes")
	p.shows(".next", "It was cancelled after its client had heard of the time-out.")
	eventually(p.t, "there is nothing more to cancel", func() bool { return evaluate[bool](p, `document.querySelector(".trip .buttons").hidden`) })
}

// opensByKeyboard: Tab and Enter alone reach a trip, and the focus can always be seen.
func opensByKeyboard(_ *demoNode, p *tab) {
	t := p.t
	p.navigate("#/trips?state=over")
	p.shows("main", "with-markup")
	p.key("Tab", 9)
	if first := evaluate[string](p, `document.activeElement.id`); first != "skip" {
		t.Errorf("the first stop is %q, not the link that skips to the content", first)
	}
	p.key("Enter", 13)
	if at := evaluate[string](p, `document.activeElement.id`); at != "main" {
		t.Errorf("the link that skips leads to %q", at)
	}
	for range 40 {
		p.key("Tab", 9)
		if outline := evaluate[string](p, `getComputedStyle(document.activeElement).outlineStyle`); outline == "none" {
			t.Errorf("nobody sees the focus at %s", evaluate[string](p, `document.activeElement.outerHTML.slice(0, 200)`))
		}
		if evaluate[bool](p, `document.activeElement.matches("tbody a")`) {
			break
		}
	}
	name := evaluate[string](p, `document.activeElement.textContent`)
	p.key("Enter", 13)
	p.shows(".facts", name)
	p.shows(".timeline", "Accepted")
	eventually(t, "the focus is at the heading", func() bool { return evaluate[bool](p, `document.activeElement.matches("h1")`) })
	seen := map[string]bool{} // no trap: the focus comes round
	for range 40 {
		p.key("Tab", 9)
		seen[evaluate[string](p, `document.activeElement.id`)] = true
	}
	if !seen["skip"] && !seen["name"] {
		t.Errorf("the focus does not come round: %v", seen)
	}
}

// fitsNarrowScreen: at 400 px, and at widths between that and a desk's, nothing is wider than the screen or than what it is in.
func fitsNarrowScreen(_ *demoNode, p *tab) {
	defer p.size(1280, 900)
	for _, width := range []int{1008, 760, 400} {
		p.size(width, 860)
		fits(p, width)
	}
	p.goTo("#/trips/find-me")
	p.shows(".timeline", "Time-out")
	p.shoot("page-narrow", 1300)
}

// fits shows every part of the page.
func fits(p *tab, width int) {
	t := p.t
	t.Helper()
	for _, hash := range []string{"#/trips/find-me", "#/trips/three-ops", "#/trips", "#/trips?state=over", "#/late", "#/notifications", "#/waiters", "#/configuration", "#/warnings", "#/"} {
		p.goTo(hash)
		eventually(t, hash+" is there", func() bool {
			return evaluate[bool](p, `location.hash === `+strconv.Quote(hash)+` && [...document.querySelectorAll("main table, main .empty, main pre, main .timeline")].some(e => e.checkVisibility())`)
		})
		wide := evaluate[[]string](p, `[...document.querySelectorAll("body *")].filter(e => e.checkVisibility() && !e.closest(".hidden, .skip, svg") && (e.getBoundingClientRect().right > innerWidth + 0.5 || e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && !e.matches("input"))).map(e => e.outerHTML.slice(0, 120))`)
		if got := evaluate[int](p, `document.documentElement.scrollWidth`); got > width || len(wide) > 0 {
			t.Errorf("%s is %d px wide on a screen of %d: %q", hash, got, width, wide)
		}
	}
}

// faintTexts names the texts whose contrast with what is behind them is below 4.5, as WCAG 2.2 counts it (success criterion 1.4.3).
const faintTexts = `(() => {
	const channels = text => text.match(/[\d.]+/g).map(Number);
	const luminance = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const ground = e => {
		for (; e; e = e.parentElement) {
			const colour = channels(getComputedStyle(e).backgroundColor);
			if (colour.length < 4 || colour[3] > 0) return colour;
		}
		return [255, 255, 255];
	};
	return [...document.querySelectorAll("body *")].filter(e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
		const [a, b] = [luminance(channels(getComputedStyle(e).color)), luminance(ground(e))].sort((x, y) => y - x), contrast = (a + 0.05) / (b + 0.05);
		return contrast < 4.5 ? contrast.toFixed(2) + " " + e.outerHTML.slice(0, 150) : "";
	}).filter(Boolean);
})()`

// hasTwoThemes: the page follows the system, and the switch goes over that.
func hasTwoThemes(_ *demoNode, p *tab) {
	t := p.t
	ground := func() string {
		return evaluate[string](p, `getComputedStyle(document.documentElement).backgroundColor`)
	}
	p.scheme("light")
	light := ground()
	p.scheme("dark")
	dark := ground()
	if light == dark {
		t.Errorf("both themes are %s", light)
	}
	for _, theme := range []string{"light", "dark"} {
		p.scheme(theme)
		for _, hash := range []string{"#/", "#/trips?state=over", "#/trips/find-me", "#/notifications", "#/configuration"} {
			p.goTo(hash)
			p.shows("h1")
			for _, faint := range evaluate[[]string](p, faintTexts) {
				t.Errorf("%s, %s: %s", theme, hash, faint)
			}
		}
	}
	p.click("#theme")
	p.shows("#theme", "light")
	if got := ground(); got != light {
		t.Errorf("the switch to light gives %s, not %s", got, light)
	}
	p.navigate("#/")
	if got := ground(); got != light {
		t.Errorf("the page forgets the theme: %s", got)
	}
	p.click("#theme")
	p.shows("#theme", "dark")
	p.scheme("light")
	if got := ground(); got != dark {
		t.Errorf("the switch to dark gives %s, not %s", got, dark)
	}
	p.click("#theme")
	p.shows("#theme", "system")
}
