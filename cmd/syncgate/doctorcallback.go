package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"syncgate/configs"
	"syncgate/internal/edge"
	"syncgate/internal/probe"
	"syncgate/internal/redact"
)

// mostTried bounds the body that is sent to see whether it passes, in bytes.
const mostTried = 32 << 20

// examineCallback calls callback.base_url as an engine would, and wants that this gateway answers.
func (d *checkup) examineCallback(ctx context.Context) {
	if !d.wants("callback") {
		return
	}
	const key = "callback.base_url"
	if d.keys == nil {
		d.callback(d.c)
		d.add(isWarning, "callback.keys", "write one: head -c 32 /dev/urandom | base64 > callback.key, and callback.keys_file: callback.key",
			"there are none, so the gateway makes one at its start: nothing can prove that it is this gateway which answers, and the edge cannot be examined")
		return
	}
	base, err := url.Parse(d.c.Callback.BaseURL)
	if err != nil {
		return // a valid configuration has one
	}
	w := d.way(base, probe.CallbackPath)
	h := w.Send(ctx, edge.New(probe.Say, 0))
	if !d.reached(key, w, &h) {
		return
	}
	d.answerer(key, &h)
	if d.gateT == nil {
		d.noteTime(&h)
	}
	d.body(ctx, w, key, "limits.callback_body", int64(d.c.Limits.CallbackBody))
}

// answerer adds a finding that says which gateway has answered, and one about its certificate.
func (d *checkup) answerer(key string, h *edge.Heard) {
	switch {
	case d.node == nil:
		d.ok(key, "leads to a gateway with these callback keys, node %s, after %v", h.Answer.Node, rounded(h.Took))
	case d.node.Node == h.Answer.Node:
		d.ok(key, "leads to this gateway, node %s, after %v", h.Answer.Node, rounded(h.Took))
	case d.c.Correlator.Backend == configs.Redis:
		d.ok(key, "leads to node %s, another one of the cluster, after %v", h.Answer.Node, rounded(h.Took))
	default:
		d.add(isProblem, key, "let it lead to this gateway, or set correlator.backend to redis, so that each node can take every callback",
			"leads to another process with the same callback keys, node %s; this one is %s. With correlator.backend memory each process knows its own clients alone",
			h.Answer.Node, d.node.Node)
	}
	if h.TLS != nil {
		d.certificate(key, h.TLS)
	}
}

// reached reports whether a gateway with our keys has answered. If not, a finding says what did, and what to set.
func (d *checkup) reached(key string, w *edge.Way, h *edge.Heard) bool {
	if h.Proven {
		return true
	}
	text, do := trouble(key, w, h)
	d.add(isProblem, key, do, "%s", text)
	return false
}

// trouble says what is wrong with the way to a gateway, and what to set. key is that of its URL.
func trouble(key string, w *edge.Way, h *edge.Heard) (text, do string) {
	if h.Status == 0 {
		return unreached(key, w, h.Err)
	}
	proxy := h.Proxy()
	ours := h.Header.Get("X-Request-Id") != ""
	switch {
	case h.Status/100 == 3:
		to, _, same := strings.Cut(h.Location(), w.Path)
		if !same {
			to = redact.Path([]byte(to)) // a page of logins may have the token in its path
			return fmt.Sprintf("is redirected with status %d to %s, which is another page", h.Status, to), "let " + w.Path + " through without a redirect: the tokens in the paths protect it"
		}
		return fmt.Sprintf("is redirected with status %d to %s, and engines and clients that send a POST may not follow", h.Status, to), "set " + key + " to " + to
	case ours && h.Status == http.StatusNotFound:
		return "leads to a gateway that does not know the probe: it is another installation, runs with other callback keys, or is of an older version",
			"let it lead to this gateway; on each node behind it set the same callback.keys, and send SIGHUP"
	case h.Status == http.StatusGone:
		return "the gateway finds the time of the probe wrong", "set the clocks of both machines by NTP"
	case h.Status == http.StatusServiceUnavailable && ours, h.Status == http.StatusTooManyRequests && ours:
		return fmt.Sprintf("leads to a gateway that takes no probe now, status %d", h.Status), "run doctor again when it has started, or when another doctor has ended"
	case h.Status == http.StatusUnauthorized || h.Status == http.StatusForbidden:
		return fmt.Sprintf("%s answers with status %d", proxy.Name(), h.Status), "let " + w.Path + " through without a login: the tokens in the paths protect it"
	case h.Status == http.StatusNotFound || h.Status == http.StatusMethodNotAllowed:
		return fmt.Sprintf("%s answers with status %d, and no gateway", proxy.Name(), h.Status), "let it lead " + w.Path + " to this gateway, by POST"
	case h.Status == http.StatusBadGateway || h.Status == http.StatusServiceUnavailable || h.Status == http.StatusGatewayTimeout:
		return fmt.Sprintf("%s answers with status %d: it does not reach the gateway", proxy.Name(), h.Status),
			"start the gateway, and see that " + proxy.Name() + " has the address of listen.public or listen.callback, with http or https as listen.tls says"
	}
	return fmt.Sprintf("something else answers, with status %d", h.Status), "let it lead " + w.Path + " to this gateway, by POST"
}

// unreached says why there is no answer.
func unreached(key string, w *edge.Way, err error) (text, do string) {
	host := w.URL.Hostname()
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		names := strings.Join(name.Certificate.DNSNames, ", ")
		return fmt.Sprintf("the certificate is for %s, and not for %s", names, host), "get a certificate for " + host + ", or write one of these names into " + key
	}
	if bad, ok := errors.AsType[x509.CertificateInvalidError](err); ok && bad.Reason == x509.Expired {
		return "the certificate is not good now: it ended at " + bad.Cert.NotAfter.UTC().Format(time.RFC3339), "renew it, or set this machine's clock"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate comes from nobody whom this machine trusts", "send the whole chain with it, or take one of a public authority: engines and clients may refuse it too"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "what listens there does not speak TLS", "write http:// into " + key + ", or turn TLS on there"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the name " + host + " cannot be resolved here", "add it to DNS, or correct " + key
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "nobody listens at " + w.URL.Host, "start what should listen there, or correct " + key
	}
	if slow, ok := errors.AsType[net.Error](err); ok && slow.Timeout() {
		return "nothing answers in time", "look at the firewall and the address in " + key
	}
	return unanswered(err).Error(), "look at what listens at " + w.URL.Host + ", and whether it wants http or https"
}

// body sends as many bytes as a setting allows, and wants that the gateway gets them.
func (d *checkup) body(ctx context.Context, w *edge.Way, key, setting string, most int64) {
	a := edge.New(probe.Say, 0)
	a.Body = min(most, mostTried)
	h := w.Send(ctx, a)
	d.judgeBody(key, setting, a.Body, &h)
}

// judgeBody says whether a body has arrived.
func (d *checkup) judgeBody(key, setting string, sent int64, h *edge.Heard) {
	switch {
	case h.Proven && h.Answer.Body == sent:
		d.ok(key, "bodies of %d bytes pass, as %s says", sent, setting)
	case h.Proven:
		d.add(isProblem, key, "look for what changes bodies on the way", "of a body of %d bytes, %d arrived", sent, h.Answer.Body)
	case h.Header.Get("X-Request-Id") != "":
		d.add(isWarning, key, "run doctor again", "the gateway has refused a body of %d bytes with status %d", sent, h.Status)
	case h.Status == http.StatusInternalServerError || h.Status == http.StatusInsufficientStorage:
		d.add(isProblem, key, "see the log of "+h.Proxy().Name()+": it may keep bodies in files, and have no right or no room to write them (nginx: client_body_temp_path)",
			"%s answers with status %d to a body of %d bytes", h.Proxy().Name(), h.Status, sent)
	default:
		said := "ends the connection"
		if h.Status != 0 {
			said = fmt.Sprintf("answers with status %d", h.Status)
		}
		d.add(isProblem, key, h.Proxy().RaiseBody(sent+bodyRoom)+" (or lower "+setting+")", "%s %s to a body of %d bytes, and %s allows it", h.Proxy().Name(), said, sent, setting)
	}
}

// bodyRoom is what a proxy should allow beyond the gateway's own limit, so that the gateway words the refusal, in bytes.
const bodyRoom = 1 << 20
