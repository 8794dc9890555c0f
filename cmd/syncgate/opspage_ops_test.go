//go:build unix

package main_test

import (
	"fmt"
	"slices"
	"strings"
)

// opsOf is a create whose ops are each called back after so many milliseconds; less than 0: never.
func opsOf(timeout string, ref string, delays ...int) string {
	ops := make([]string, len(delays))
	for i, delay := range delays {
		sim := fmt.Sprintf(`{"delay_ms":%d}`, delay)
		if delay < 0 {
			sim = `{"callback":"never"}`
		}
		ops[i] = fmt.Sprintf(`{"conv_id":1,"type":"create","obj":"task","ref":"%s-%d","data":{"__sim":%s}}`, ref, i, sim)
	}
	return `{"timeout":` + timeout + `,"ops":[` + strings.Join(ops, ",") + `]}`
}

// wideRef is a ref without a place where a line could be broken, as long as what is remembered of one.
var wideRef = strings.Repeat("W", 38)

// titles gives the titles of a timeline that have a word in them, in their order.
func (p *tab) titles(word string) (all []string) {
	for _, title := range evaluate[[]string](p, `[...document.querySelectorAll(".timeline li")].map(li => (li.className === "done" ? "" : "to come: ") + li.querySelector("strong").textContent)`) {
		if strings.Contains(title, word) {
			all = append(all, title)
		}
	}
	return all
}

// hasCallbacks waits until these are the titles of a timeline that tell of callbacks.
func (p *tab) hasCallbacks(want ...string) {
	p.t.Helper()
	var all []string
	eventually(p.t, fmt.Sprintf("the timeline has %q", want), func() bool { all = p.titles("allback"); return slices.Equal(all, want) })
}

// seesEachCallback: the timeline has a line for the callback of each operation, in the order in which they come. What is cancelled has none.
func seesEachCallback(d *demoNode, p *tab) {
	d.calls.Go(func() { d.call("three-ops", opsOf("30", wideRef, 2000, 4000, 100)) })
	p.search("three-ops")
	p.hasCallbacks("Operation 2: callback", "to come: Waits for 2 callbacks")
	p.hasCallbacks("Operation 2: callback", "Operation 0: callback", "to come: Waits for 1 callback")
	p.hasCallbacks("Operation 2: callback", "Operation 0: callback", "Operation 1: callback")
	p.shows(".timeline", "ref "+wideRef+"-2", "Replied: complete")
	if items := evaluate[int](p, `document.querySelectorAll("ol.timeline > li time[datetime]").length`); items != 7 { // accepted, forwarded, answered, three callbacks, replied
		p.t.Errorf("the list has %d times", items)
	}

	d.calls.Go(func() { d.call("cancelled-op", opsOf("30", "order", 1200, -1, 100)) })
	p.search("cancelled-op")
	p.hasCallbacks("Operation 2: callback", "Operation 0: callback", "to come: Waits for 1 callback")
	p.shoot("page-callbacks-light", 1000)
	p.click(".trip .danger")
	p.click("dialog[open] #question-yes")
	p.shows(".facts", "cancelled")
	p.hasCallbacks("Operation 2: callback", "Operation 0: callback")
}

// drawsYoungTrips: a trip is younger than the time that the page has heard last. No share of that time is less than nothing.
func drawsYoungTrips(_ *demoNode, p *tab) {
	drawn := evaluate[[]string](p, `import("/web/timeline.js").then(({Timeline}) => [0, 1, 2].map(late => {
		const line = new Timeline(), at = ms => new Date(1e12 + ms).toISOString();
		line.show({state: "waiting", accepted: at(1), forwarded: at(2), ops: [{op: 0, state: "open"}], op_count: 1, callbacks: 0}, 1e12 + late);
		return [...line.root.querySelectorAll("rect")].map(rect => rect.getAttribute("width")).join(" ");
	}))`)
	if want := []string{"100%", "100%", "100%"}; !slices.Equal(drawn, want) {
		p.t.Errorf("the shares are %q, want %q", drawn, want)
	}
}

// seesManyCallbacks: of many operations the timeline stays short, in time and late.
func seesManyCallbacks(d *demoNode, p *tab) {
	many := make([]int, 30)
	for i := range many {
		many[i] = 400
	}
	many[29], many[28] = 100, 700
	d.call("thirty-ops", opsOf("20", "r", many...))
	p.search("thirty-ops")
	p.shows(".timeline", "First callback", "1 of 30", "Last callback", "30 of 30", "Operation 7: callback", "Replied: complete")
	if n := len(p.titles("allback")); n != 10 {
		p.t.Errorf("%d callbacks are shown: %q", n, p.titles(""))
	}
	d.call("thirty-late", opsOf("0.2", "r", many...))
	p.search("thirty-late")
	p.shows(".timeline", "Callback 1 of 30", "And 9 more late callbacks")
	if n := len(p.titles("late callback")); n != 21 {
		p.t.Errorf("%d late callbacks are shown: %q", n, p.titles(""))
	}
	d.calls.Go(func() { d.post("/v1/greetings", `{"hello":"progress"}`, "X-Request-Id: reports") })
	p.search("reports")
	p.shows(".timeline", "Progress", "the engine's first report", "reports", "Callback", "the result", "Replied: complete")
}
