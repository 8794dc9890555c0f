package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"syncgate/configs"
	"syncgate/internal/edge"
	"syncgate/internal/probe"
)

// examineGateway asks the gateway on this machine: its admin listener, and then itself.
func (d *checkup) examineGateway(ctx context.Context) {
	if d.wants("gateway") {
		if !d.ready() {
			return
		}
		d.versions()
	}
	w, ok := d.wayHere()
	if !ok && d.wants("gateway") {
		d.shownSettings()
	}
	if !ok || len(d.only) > 0 && !d.only["gateway"] && !d.only["callback"] && !d.only["edge"] && !d.only["clock"] {
		return
	}
	h := w.Send(ctx, edge.New(probe.Say, 0))
	if h.Proven {
		d.node = &h.Answer
		d.noteTime(&h)
	}
	if d.wants("gateway") {
		d.settings(&h)
	}
}

// ready reports whether the admin listener answers. If not, a finding says so.
func (d *checkup) ready() bool {
	const key = "listen.admin"
	if d.c.Listen.Admin == "" {
		d.add(isWarning, key, "set listen.admin to an address of the loopback", "is empty: nobody can be asked whether the gateway is ready")
		return true
	}
	address := reachable(d.c.Listen.Admin)
	status, body, err := ask(http.MethodGet, address, "/readyz")
	switch {
	case err != nil:
		d.add(isProblem, key, "start the gateway (syncgate serve). If it runs on another machine, or with other SYNCGATE_ variables, run doctor there or with these",
			"no gateway answers at %s: %v", address, cmp.Or(errors.Unwrap(err), err))
		return false
	case status != http.StatusOK:
		d.add(isProblem, key, "the log of the gateway says since when and why; docs/operations.md has the words", "the gateway is not ready: %s", strings.TrimSpace(string(body)))
	default:
		d.ok(key, "the gateway is ready")
	}
	return true
}

// versions compares the version of the gateway with that of this program, and says how its last reload went.
func (d *checkup) versions() {
	m, ok := d.metrics()
	if !ok {
		return
	}
	if runs := m.label("syncgate_build_info", "version"); runs != "" && runs != versionText() {
		d.add(isWarning, "version", "restart the gateway if the program was updated, or run the doctor of its version", "the gateway is %s, and this program %s", runs, versionText())
	} else if runs != "" {
		d.ok("version", "the gateway is %s, as this program is", runs)
	}
	if v, known := m.value("syncgate_config_last_reload_successful"); known && v == 0 {
		d.add(isProblem, "configuration", "correct what syncgate check lists, and send SIGHUP again",
			"the gateway has refused the last reload: its log has lines that begin with \"reload: nothing has changed\"")
	}
}

// wayHere is the way to the gateway's own listener on this machine, past every proxy. False: doctor cannot speak to it.
func (d *checkup) wayHere() (w *edge.Way, ok bool) {
	address, name := d.c.Listen.Callback, "callback"
	if address == "" {
		address, name = d.c.Listen.Public, "public"
	}
	base, err := url.Parse(d.c.Callback.BaseURL)
	if err != nil || d.keys == nil || slices.Contains(d.c.Listen.ProxyProtocol, name) {
		return nil, false
	}
	here := *base
	here.Scheme, here.Path, here.RawPath = "http", "", ""
	if d.c.Listen.TLS.CertFile != "" {
		here.Scheme = "https"
	}
	w = d.way(&here, probe.CallbackPath)
	w.Dial, w.Insecure = reachable(address), true
	return w, true
}

func (d *checkup) noteTime(h *edge.Heard) {
	d.gateT = &clockReading{h.Answer.Now, h.Answer.Now, h.At, h.At.Add(h.Took)}
}

// settings compares what is in effect with the configuration that was read.
func (d *checkup) settings(h *edge.Heard) {
	const key = "configuration"
	if !h.Proven {
		said := "does not answer"
		if h.Status != 0 {
			said = "answers a probe with status " + strconv.Itoa(h.Status)
		}
		d.add(isProblem, "callback.keys", "send the gateway SIGHUP if the keys were replaced; else see what listens there, and that it is of this version",
			"what listens at this gateway's own address %s: it runs with other callback keys, or is another program", said)
		return
	}
	reload, restart := d.differs(h.Answer.Config)
	if len(reload) > 0 {
		d.add(isProblem, key, "send the gateway SIGHUP (systemctl reload syncgate). If its environment has SYNCGATE_ variables, run doctor with these",
			"the gateway runs with other values of %s", strings.Join(reload, ", "))
	}
	if len(restart) > 0 {
		d.add(isProblem, key, "restart the gateway: a reload does not change these. If its environment has SYNCGATE_ variables, run doctor with these",
			"the gateway runs with other values of %s", strings.Join(restart, ", "))
	}
	if len(reload)+len(restart) == 0 {
		d.ok(key, "the gateway runs with this one")
	}
}

// shownSettings is settings where no probe can be sent: it compares what the admin listener shows, secrets aside.
func (d *checkup) shownSettings() {
	const key = "configuration"
	if d.c.Listen.Admin == "" {
		return
	}
	status, effect, err := ask(http.MethodGet, reachable(d.c.Listen.Admin), configPath)
	read, bad := d.c.YAML()
	switch {
	case err != nil || bad != nil || status != http.StatusOK: // it is of another version
	case bytes.Equal(effect, read):
		d.ok(key, "the gateway runs with this one, as far as it is shown")
	default:
		d.add(isProblem, key, "send the gateway SIGHUP, or restart it. If its environment has SYNCGATE_ variables, run doctor with these",
			"the gateway runs with another one: compare %s of the admin listener with what syncgate check prints", configPath)
	}
}

// differs gives the keys of the settings that have another value in the configuration than in the gateway. The gateway makes digests with the first of its
// callback keys. Its list may be older than that of the configuration, so doctor tries each key.
func (d *checkup) differs(effect map[string]string) (reload, restart []string) {
	d.c.Values(func(key, text string) {
		digest, known := effect[key]
		if !known {
			return // it is of another version
		}
		for _, k := range d.each {
			if probe.Digest(key, text, k) == digest {
				return
			}
		}
		if reloadable(key) {
			reload = append(reload, key)
		} else {
			restart = append(restart, key)
		}
	})
	return reload, restart
}

// samples are what /metrics says, a line for each sample.
type samples []string

// metrics asks the admin listener. False: it does not answer.
func (d *checkup) metrics() (samples, bool) {
	if d.c.Listen.Admin == "" {
		return nil, false
	}
	status, body, err := ask(http.MethodGet, reachable(d.c.Listen.Admin), "/metrics")
	if err != nil || status != http.StatusOK {
		return nil, false
	}
	return strings.Split(string(body), "\n"), true
}

// value gives the value of a metric without labels.
func (m samples) value(name string) (v float64, known bool) {
	for _, line := range m {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(text, 64)
			return v, err == nil
		}
	}
	return 0, false
}

// label gives the value of a label of a metric that has one sample.
func (m samples) label(name, label string) string {
	for _, line := range m {
		if rest, ok := strings.CutPrefix(line, name+"{"); ok {
			_, rest, _ = strings.Cut(rest, label+`="`)
			value, _, _ := strings.Cut(rest, `"`)
			return value
		}
	}
	return ""
}

// examineFiles compares how many files the gateway's process may have open with how many it needs. Without a gateway it is this process's limit.
func (d *checkup) examineFiles(context.Context) {
	if !d.wants("files") {
		return
	}
	const key = "limits.parked"
	m, ok := d.metrics()
	limit, known := m.value("process_max_fds")
	if !ok || !known {
		d.files(d.c)
		return
	}
	open, _ := m.value("process_open_fds")
	need := filesNeeded(d.c)
	switch {
	case d.c.Limits.Parked == 0:
		d.add(isWarning, key, "set limits.parked to what the files allow", "is 0, no limit, and the gateway may have %.0f files open, of which each client that waits is one", limit)
	case limit < float64(need):
		d.add(isProblem, key, "LimitNOFILE="+strconv.Itoa(need)+" in the unit of systemd, or ulimit -n of the shell that starts it, and restart; or lower limits.parked",
			"is %d, and the gateway may have %.0f files open; with the connections to engines it needs %d", d.c.Limits.Parked, limit, need)
	default:
		d.ok(key, "%d clients fit into the %.0f files that the gateway may have open; %.0f are", d.c.Limits.Parked, limit, open)
	}
}

// longest gives how long a client may wait, and the key that says so.
func longest(c *configs.Config) (d time.Duration, key string) {
	d, key = c.Timeouts.Max, "timeouts.max"
	for i := range c.Routes {
		if w := c.Routes[i].Wait.Max; w > d {
			d, key = w, "routes["+strconv.Itoa(i)+"].wait.max"
		}
	}
	return d, key
}
