package tracing

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"syncgate/internal/redact"
)

const (
	// mostQueued is how many spans wait to be sent.
	mostQueued = 8192
	// mostBatch is how many spans a request to the collector has.
	mostBatch = 512
	// sendEvery is how long a span waits for others to be sent with.
	sendEvery = time.Second
	// leastPause and mostPause are between two attempts to send a batch. mostTried is how long one is tried.
	leastPause, mostPause = time.Second, 30 * time.Second
	mostTried             = time.Minute
	// mostAnswer is how much of the collector's answer is read.
	mostAnswer = 64 << 10
)

// Reasons why a span is dropped, as the metric has them.
const (
	droppedQueue     = "queue"     // the queue was full
	droppedCollector = "collector" // the collector could not be reached in time, or had no room
	droppedRefused   = "refused"   // the collector does not want it
	droppedUnknown   = "unknown"   // nobody knows the trace of a callback
)

// exporter sends spans to a collector.
type exporter struct {
	// Set by newExporter, read-only afterwards.
	url    string
	header http.Header
	client *http.Client
	wrap   func(spans []*tracepb.Span) *tracepb.TracesData
	log    zerolog.Logger
	hidden []string // what no log may show: the token, and the headers

	sent    prometheus.Counter
	dropped map[string]prometheus.Counter // by reason

	queue    chan *tracepb.Span
	stopping chan struct{} // closed by close
	stopped  chan struct{} // closed by run
	cut      context.Context
	cutOff   context.CancelFunc

	lost atomic.Int64 // spans that were not taken since a whole batch was

	// Owned by run.
	failing bool
	zip     *gzip.Writer
}

func newExporter(cfg *Config, wrap func([]*tracepb.Span) *tracepb.TracesData, metrics prometheus.Registerer, log zerolog.Logger) *exporter {
	e := &exporter{
		url: cfg.endpoint(), header: cfg.header(), wrap: wrap, log: log, hidden: cfg.hidden(),
		client: &http.Client{
			Timeout:       cfg.Timeout,
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, MaxConnsPerHost: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: mostAnswer, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // another host must not get the headers
		},
		queue: make(chan *tracepb.Span, mostQueued), stopping: make(chan struct{}), stopped: make(chan struct{}), zip: gzip.NewWriter(io.Discard),
		sent:    prometheus.NewCounter(prometheus.CounterOpts{Name: "syncgate_trace_spans_sent_total", Help: "Spans that the collector has taken."}),
		dropped: make(map[string]prometheus.Counter),
	}
	all := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "syncgate_trace_spans_dropped_total", Help: "Spans that were not sent, by reason."}, []string{"reason"})
	for _, reason := range []string{droppedQueue, droppedCollector, droppedRefused, droppedUnknown} {
		e.dropped[reason] = all.WithLabelValues(reason)
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "syncgate_trace_spans_waiting", Help: "Spans that wait to be sent."}, func() float64 { return float64(len(e.queue)) })
	if metrics != nil {
		metrics.MustRegister(e.sent, all, waiting)
	}
	e.cut, e.cutOff = context.WithCancel(context.Background())
	go e.run()
	return e
}

// add has a span sent. It does not block: without room the span is dropped.
func (e *exporter) add(s *tracepb.Span) {
	select {
	case e.queue <- s:
	default:
		e.dropped[droppedQueue].Inc()
		e.lost.Add(1)
	}
}

// run sends what comes, in batches.
func (e *exporter) run() {
	defer close(e.stopped)
	tick := time.NewTicker(sendEvery)
	defer tick.Stop()
	var batch []*tracepb.Span
	for {
		select {
		case s := <-e.queue:
			batch = append(batch, s)
			if len(batch) < mostBatch {
				continue
			}
		case <-tick.C:
		case <-e.stopping:
			e.finish(batch)
			return
		}
		e.send(batch)
		clear(batch) // what was sent can be collected
		batch = batch[:0]
	}
}

// finish sends what is left.
func (e *exporter) finish(batch []*tracepb.Span) {
	for {
		select {
		case s := <-e.queue:
			if batch = append(batch, s); len(batch) == mostBatch {
				e.send(batch)
				batch = batch[:0]
			}
			continue
		default:
		}
		e.send(batch)
		return
	}
}

// send sends a batch. It tries again for a while where that is worth it, and then drops the batch.
func (e *exporter) send(batch []*tracepb.Span) {
	if len(batch) == 0 {
		return
	}
	defer func() {
		if p := recover(); p != nil { // of what reads the collector's answer: clients that wait must not end with it
			e.drop(droppedRefused, len(batch), &sendError{err: fmt.Errorf("sending panicked: %T", p)})
		}
	}()
	body, err := e.encode(batch)
	if err != nil { // never: the spans are ours
		e.drop(droppedRefused, len(batch), &sendError{err: err})
		return
	}
	began, pause := time.Now(), leastPause
	for {
		refused, failed := e.post(body)
		switch {
		case failed == nil:
			e.took(len(batch), refused)
			return
		case !failed.again:
			e.drop(droppedRefused, len(batch), failed)
			return
		case time.Since(began)+max(pause, failed.after) > mostTried || !e.pause(max(pause, failed.after), failed):
			e.drop(droppedCollector, len(batch), failed)
			return
		}
		pause = min(2*pause, mostPause)
	}
}

// took says what the collector has taken of a batch of so many spans.
func (e *exporter) took(spans int, p partial) {
	refused := min(p.refused, spans) // the collector may say any number
	e.sent.Add(float64(spans - refused))
	e.dropped[droppedRefused].Add(float64(refused))
	if refused == 0 {
		e.works()
		return
	}
	e.lost.Add(int64(refused))
	e.refuses(fmt.Errorf("%d of %d spans are not taken: %s", refused, spans, cmp.Or(e.shown(p.message), "the collector says no reason")))
}

// pause waits before the next attempt, and a little longer, so that nodes do not ask all at once. False: there is none, as the exporter ends.
func (e *exporter) pause(d time.Duration, why *sendError) bool {
	e.fails(why)
	timer := time.NewTimer(d + rand.N(d/4+1)) //nolint:gosec // nobody has to be unable to guess it
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.stopping: // the collector had its time
		return false
	}
}

func (e *exporter) drop(reason string, spans int, why *sendError) {
	e.dropped[reason].Add(float64(spans))
	e.lost.Add(int64(spans))
	if reason == droppedRefused {
		e.refuses(why)
	} else {
		e.fails(why)
	}
}

// refuses says once that spans were refused, fails that they cannot be sent, and works that they can be sent again.
func (e *exporter) refuses(why error) {
	if !e.failing {
		e.log.Warn().Str("error", redact.Error(why)).Msg("tracing: the collector refuses spans: they are dropped")
	}
	e.failing = true
}

func (e *exporter) fails(why *sendError) {
	if !e.failing && e.cut.Err() == nil {
		e.log.Warn().Str("error", redact.Error(why)).Msg("tracing: the collector takes no spans: they wait, and are dropped when there is no more room")
	}
	e.failing = true
}

func (e *exporter) works() {
	lost := e.lost.Swap(0)
	if e.failing {
		e.log.Info().Int64("dropped", lost).Msg("tracing: the collector takes spans again")
	}
	e.failing = false
}

// encode makes the body of a request: an ExportTraceServiceRequest, which has the form of TracesData [OTLP 1.x]. Each batch has memory of its own:
// the transport may still read the body of a request that has failed, or that was answered early.
func (e *exporter) encode(batch []*tracepb.Span) ([]byte, error) {
	plain, err := proto.Marshal(e.wrap(batch))
	if err != nil {
		return nil, err
	}
	var zipped bytes.Buffer
	e.zip.Reset(&zipped)
	if _, err = e.zip.Write(plain); err == nil {
		err = e.zip.Close()
	}
	return zipped.Bytes(), err
}

// sendError is why a batch was not taken.
type sendError struct {
	err   error
	again bool          // it may be taken later
	after time.Duration // what the collector has asked to wait for, at most mostPause
}

func (e *sendError) Error() string { return e.err.Error() }

// post sends a request once. refused is what the collector does not want of it.
func (e *exporter) post(body []byte) (refused partial, failed *sendError) {
	req, err := http.NewRequestWithContext(e.cut, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return partial{}, &sendError{err: errors.New("tracing.url is not a URL")}
	}
	req.Header = e.header
	resp, err := e.client.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the URL
		}
		return partial{}, &sendError{err: advised(err), again: true}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	switch status := resp.StatusCode; {
	case status >= 200 && status < 300 && err != nil: // it has the spans, and what it says of them is lost
		return partial{}, nil
	case status >= 200 && status < 300:
		return readPartial(answer), nil
	default:
		again := status == http.StatusTooManyRequests || status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
		return partial{}, &sendError{refusal(status, e.shown(messageOf(resp.Header, answer))), again, retryAfter(resp.Header)}
	}
}

// close sends what waits, until ctx ends. What is left then is dropped.
func (e *exporter) close(ctx context.Context) error {
	close(e.stopping)
	var err error
	select {
	case <-e.stopped:
	case <-ctx.Done():
		err = errors.New("spans are lost: the collector has not taken them in time")
		e.cutOff()
		<-e.stopped
	}
	e.cutOff()
	e.client.CloseIdleConnections()
	return err
}
