//go:build unix

package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// imagesVariable names a directory: with it, tests of the page write their screenshots there. PAGE_IMAGES=docs/images, from the root of the repository, makes those of the documents.
const imagesVariable = "PAGE_IMAGES"

// tab is a browser with one page, which is steered and watched by the DevTools protocol.
type tab struct {
	*devTools
	t      *testing.T
	origin string
	read   chan struct{} // closed when nothing is read any more

	mu      sync.Mutex                       // guards what follows
	answers map[int]chan<- json.RawMessage   // that are waited for
	urls    []string                         // that were asked for
	bad     []string                         // errors of the console, exceptions, and requests that left the origin
	heard   int                              // events of the gateway
	loaded  chan struct{}                    // closed by the next end of loading
	failed  error                            // why nothing is read any more
	allowed func(entry string) (isFine bool) // says which errors are expected
}

// openTab opens a browser at the page of an admin listener.
func openTab(t *testing.T, admin string) *tab {
	t.Helper()
	p := &tab{devTools: newDevTools(t), t: t, origin: "http://" + admin, read: make(chan struct{}), answers: make(map[int]chan<- json.RawMessage), allowed: func(string) bool { return false }}
	_, end := openBrowser(t, "about:blank", p.attach)
	t.Cleanup(func() {
		end()
		_ = p.ours[1].Close()
		<-p.read
	})
	p.connect()
	go p.listen()
	for _, domain := range []string{"Page", "Network", "Log", "Runtime"} {
		p.send(domain+".enable", map[string]any{}, nil)
	}
	p.size(1280, 900)
	p.scheme("light")
	p.navigate("#/")
	return p
}

// connect takes the browser's page, before anybody listens.
func (p *tab) connect() {
	p.t.Helper()
	var all struct {
		TargetInfos []struct{ TargetID, Type string }
	}
	eventually(p.t, "the browser has a page", func() bool {
		p.do(p.t, "Target.getTargets", map[string]any{}, &all)
		for _, target := range all.TargetInfos {
			if target.Type == "page" {
				var attached struct{ SessionID string }
				p.do(p.t, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
				p.session = attached.SessionID
			}
		}
		return p.session != ""
	})
}

// message is what the browser sends.
type message struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

// listen reads what the browser sends, until that ends.
func (p *tab) listen() {
	defer close(p.read)
	for {
		text, err := p.from.ReadBytes(0)
		var m message
		if err == nil {
			err = json.Unmarshal(text[:len(text)-1], &m)
		}
		if err != nil {
			p.end(err)
			return
		}
		p.take(m)
	}
}

// end has nobody wait for an answer any more.
func (p *tab) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = err
	for _, answer := range p.answers {
		close(answer)
	}
	p.answers = nil
}

// take takes an answer or an event.
func (p *tab) take(m message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.ID == 0 {
		p.hear(m)
		return
	}
	if m.Error != nil {
		m.Result, _ = json.Marshal(map[string]string{"devtools": m.Error.Message})
	}
	if answer, waits := p.answers[m.ID]; waits {
		delete(p.answers, m.ID)
		answer <- m.Result
	}
}

// hear takes an event. Called with mu held.
func (p *tab) hear(m message) {
	var e struct {
		Request          struct{ URL string }
		Entry            struct{ Level, Text, URL string }
		ExceptionDetails json.RawMessage
		Type             string
		Args             json.RawMessage
	}
	_ = json.Unmarshal(m.Params, &e)
	switch m.Method {
	case "Network.requestWillBeSent":
		p.urls = append(p.urls, e.Request.URL)
		if !strings.HasPrefix(e.Request.URL, p.origin+"/") && !strings.HasPrefix(e.Request.URL, "data:") {
			p.bad = append(p.bad, "a request has left the origin: "+e.Request.URL)
		}
	case "Network.eventSourceMessageReceived":
		p.heard++
	case "Log.entryAdded":
		if entry := e.Entry.Text + " " + e.Entry.URL; e.Entry.Level == "error" && !p.allowed(entry) {
			p.bad = append(p.bad, "the console has: "+entry)
		}
	case "Runtime.exceptionThrown":
		p.bad = append(p.bad, "an exception: "+string(e.ExceptionDetails))
	case "Runtime.consoleAPICalled":
		p.bad = append(p.bad, "the console has: "+e.Type+" "+string(e.Args))
	case "Page.loadEventFired":
		if p.loaded != nil {
			close(p.loaded)
			p.loaded = nil
		}
	}
}

// expect says which errors of the console are none.
func (p *tab) expect(isFine func(entry string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = isFine
}

// clean wants that nothing bad has happened so far.
func (p *tab) clean() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, what := range p.bad {
		p.t.Errorf("the page: %s", what)
	}
	p.bad = nil
}

// send sends a command and gives its result.
func (p *tab) send(method string, params, result any) {
	p.t.Helper()
	answer := make(chan json.RawMessage, 1)
	p.mu.Lock()
	p.id++
	text, err := json.Marshal(map[string]any{"id": p.id, "method": method, "params": params, "sessionId": p.session})
	if err == nil && p.failed == nil {
		p.answers[p.id] = answer
		_, err = p.to.Write(append(text, 0))
	} else {
		close(answer)
	}
	p.mu.Unlock()
	raw, ok := <-answer
	var problem struct{ Devtools string }
	_ = json.Unmarshal(raw, &problem)
	if err != nil || !ok || problem.Devtools != "" {
		p.t.Fatalf("%s: %v %s", method, err, problem.Devtools)
	}
	if result != nil {
		if err = json.Unmarshal(raw, result); err != nil {
			p.t.Fatal(err)
		}
	}
}

// navigate loads the page at what stands behind its address.
func (p *tab) navigate(hash string) {
	p.t.Helper()
	loaded := make(chan struct{})
	p.mu.Lock()
	p.loaded = loaded
	p.mu.Unlock()
	p.send("Page.navigate", map[string]any{"url": "about:blank"}, nil)
	<-loaded
	loaded = make(chan struct{})
	p.mu.Lock()
	p.loaded, p.urls = loaded, nil
	p.mu.Unlock()
	p.send("Page.navigate", map[string]any{"url": p.origin + "/" + hash}, nil)
	select {
	case <-loaded:
	case <-p.read:
		p.t.Fatal("the browser has ended")
	}
}

// evaluate runs an expression in the page, waits if it is a promise, and reads its value.
func evaluate[T any](p *tab, expression string) (value T) {
	p.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	p.send("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		p.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	if len(r.Result.Value) > 0 {
		if err := json.Unmarshal(r.Result.Value, &value); err != nil {
			p.t.Fatalf("%s gives %s: %v", expression, r.Result.Value, err)
		}
	}
	return value
}

// text gives what the page shows of the first element that a selector names; empty: there is none, or it is hidden. "title" is the title of the window.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return evaluate[string](p, fmt.Sprintf(`(e => !e ? "" : e.localName === "title" ? document.title : e.checkVisibility() ? e.innerText : "")(document.querySelector(%q))`, selector))
}

// shows waits until an element shows all of some texts.
func (p *tab) shows(selector string, texts ...string) {
	p.t.Helper()
	var last string
	defer func() {
		if p.t.Failed() {
			p.t.Logf("%s shows %q", selector, last)
		}
	}()
	eventually(p.t, fmt.Sprintf("%s shows %q", selector, texts), func() bool {
		last = p.text(selector)
		for _, text := range texts {
			if !strings.Contains(last, text) {
				return false
			}
		}
		return true
	})
}

// click clicks the first element that a selector names, when there is one that can be seen.
func (p *tab) click(selector string) {
	p.t.Helper()
	eventually(p.t, selector+" can be clicked", func() bool {
		return evaluate[bool](p, fmt.Sprintf(`(() => { const e = document.querySelector(%q); if (!e || !e.checkVisibility()) return false; e.focus(); e.click(); return true; })()`, selector))
	})
}

// goTo shows a part of the page.
func (p *tab) goTo(hash string) {
	p.t.Helper()
	evaluate[any](p, fmt.Sprintf(`void (location.hash = %q)`, hash))
}

// search looks for a name as a person does.
func (p *tab) search(name string) {
	p.t.Helper()
	evaluate[any](p, fmt.Sprintf(`void (document.getElementById("name").value = %q)`, name))
	p.click("#search button")
}

// key presses a key.
func (p *tab) key(name string, code int) {
	p.t.Helper()
	press := map[string]any{"type": "keyDown", "key": name, "code": name, "windowsVirtualKeyCode": code}
	if name == "Enter" {
		press["text"] = "\r"
	}
	p.send("Input.dispatchKeyEvent", press, nil)
	p.send("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": name, "code": name, "windowsVirtualKeyCode": code}, nil)
}

// size sets the size of the window, in CSS pixels.
func (p *tab) size(width, height int) {
	p.t.Helper()
	p.send("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
}

// scheme sets what the system prefers: light or dark.
func (p *tab) scheme(name string) {
	p.t.Helper()
	p.send("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": name}, {"name": "prefers-reduced-motion", "value": "reduce"}}}, nil)
}

// small reduces a PNG to 256 colours: of those that are almost the same it takes the most frequent one.
func small(picture []byte) ([]byte, error) {
	full, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	frequency, best, size := make(map[color.Color]int), make(map[[3]uint32]color.Color), make(map[[3]uint32]int)
	for y := range full.Bounds().Dy() {
		for x := range full.Bounds().Dx() {
			frequency[full.At(x, y)]++
		}
	}
	for c, n := range frequency {
		r, g, b, _ := c.RGBA()
		like := [3]uint32{r >> 11, g >> 11, b >> 11}
		if size[like] += n; best[like] == nil || n > frequency[best[like]] {
			best[like] = c
		}
	}
	var palette color.Palette
	for _, like := range slices.SortedFunc(maps.Keys(size), func(a, b [3]uint32) int { return size[b] - size[a] })[:min(len(size), 256)] {
		palette = append(palette, best[like])
	}
	nearest, reduced := make(map[color.Color]uint8), image.NewPaletted(full.Bounds(), palette)
	for c := range frequency {
		nearest[c] = uint8(palette.Index(c)) //nolint:gosec // there are 256
	}
	for i := range reduced.Pix {
		reduced.Pix[i] = nearest[full.At(i%reduced.Stride, i/reduced.Stride)]
	}
	var b bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, reduced)
	return b.Bytes(), err
}

// shoot makes a screenshot of the page from its top on, at most so high, and keeps it where imagesVariable says.
func (p *tab) shoot(name string, most int) {
	p.t.Helper()
	width := evaluate[int](p, `innerWidth`)
	height := min(evaluate[int](p, `document.documentElement.scrollHeight`), most)
	var shot struct{ Data string }
	p.send("Page.captureScreenshot", map[string]any{
		"format": "png", "captureBeyondViewport": true, "clip": map[string]any{"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
	}, &shot)
	picture, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil || len(picture) < 10_000 {
		p.t.Errorf("the screenshot %s has %d bytes: %v", name, len(picture), err)
	}
	dir := os.Getenv(imagesVariable)
	if dir == "" || err != nil {
		return
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join("../..", dir)
	}
	if picture, err = small(picture); err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644) //nolint:gosec // it is for everybody
	}
	if err != nil {
		p.t.Error(err)
	}
}
