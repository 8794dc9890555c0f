package gateway

import "github.com/valyala/fasthttp"

// Reason says in one word why a request was refused: for the metrics, the log and the list of trips. The zero value leaves it to the
// status.
type Reason string

// Reasons of refusals.
const (
	BadBody           Reason = "body"         // it is not what the dialect reads
	BadEncoding       Reason = "encoding"     // Content-Encoding
	BodySize          Reason = "body_size"    // more than limits.body or limits.callback_body
	HeadSize          Reason = "head_size"    //
	BadRequest        Reason = "malformed"    // not HTTP/1.1
	TooSlow           Reason = "slow"         // it has not come in time
	BadKey            Reason = "key"          // the Idempotency-Key is malformed or was used with another body
	BadSignature      Reason = "signature"    // or an unknown login
	BadTime           Reason = "time"         // outside auth.window
	BadOrigin         Reason = "origin"       // of a page
	BadSubscription   Reason = "subscription" // its receiver, mode, topic or secret, or the caller's quota of them
	BadAccept         Reason = "accept"       // there is no form that Accept allows
	BadStatus         Reason = "status"       // none that a task or a subscription can be given
	UnknownPath       Reason = "path"         //
	UnknownMethod     Reason = "method"       //
	ForgedName        Reason = "forged"       // a token or task id that was not made with our keys
	NothingKept       Reason = "gone"         // nothing is known of a token or task id any more
	LoginParked       Reason = "login_limit"  // limits.parked_per_login
	LoginRate         Reason = "login_rate"   // limits.rate_per_login
	RouteParked       Reason = "route_limit"  // limits.parked of a route
	RouteRate         Reason = "route_rate"   // limits.rate of a route, or rate of an access entry
	NodeParked        Reason = "parked"       // limits.parked
	NodeFiles         Reason = "files"        // hardly any descriptor is left
	NodeBodies        Reason = "memory"       // the bodies that are on their way
	NodeResults       Reason = "results"      // limits.results
	EngineBusy        Reason = "engine_busy"  // every connection
	EngineUnreachable Reason = "engine_unreachable"
	EngineUnusable    Reason = "engine_error"
	CorrelatorDown    Reason = "correlator_down"
	Draining          Reason = "draining"
	InternalError     Reason = "internal_error"
)

// Outcomes are how a create request ended: what syncgate_trips_total counts and the log says. Each request has one.
const (
	outcomeComplete          = "complete"           // every op has its result
	outcomeFailed            = "failed"             // the engine reports that the task has failed, or it was not asked, and there is no result
	outcomeCancelled         = "cancelled"          // the engine, or a client, has cancelled the task
	outcomeHandedOver        = "handed_over"        // the engine has the task, and the client comes back for the result
	outcomeRegistered        = "registered"         // the dialect keeps what the client asks for, and there is no task
	outcomeTimeout           = "timeout"            // the deadline came first
	outcomeHungUp            = "hung_up"            // the client left first
	outcomeNotAllowed        = "not_allowed"        // no op was one that clients may ask for
	outcomeBadRequest        = "bad_request"        // the request itself is wrong
	outcomeUnauthorized      = "unauthorized"       // signature, login or time
	outcomeForbidden         = "forbidden"          // origin
	outcomeLimited           = "limited"            // the login has reached its limit
	outcomeOverloaded        = "overloaded"         // the node has
	outcomeEngineRefused     = "engine_refused"     // the engine answered and took the package, or an op of it, not
	outcomeEngineUnreachable = "engine_unreachable" // nothing could be sent to it
	outcomeEngineBusy        = "engine_busy"        // every connection to it was in use
	outcomeEngineError       = "engine_error"       // its answer was not one of the protocol
	outcomeCorrelatorDown    = "correlator_down"    // Redis was away
	outcomeDraining          = "draining"           // this node ends
	outcomeInternalError     = "internal_error"     // ours
)

func outcomes() []string {
	return []string{
		outcomeComplete, outcomeFailed, outcomeCancelled, outcomeHandedOver, outcomeRegistered, outcomeTimeout, outcomeHungUp, outcomeNotAllowed, outcomeBadRequest, outcomeUnauthorized, outcomeForbidden, outcomeLimited,
		outcomeOverloaded, outcomeEngineRefused, outcomeEngineUnreachable, outcomeEngineBusy, outcomeEngineError, outcomeCorrelatorDown,
		outcomeDraining, outcomeInternalError,
	}
}

// Outcomes of callbacks: what became of one, and so what the engine heard.
const (
	callbackDelivered   = "delivered"   // 200: handed to its trip at this node
	callbackRelayed     = "relayed"     // 200: handed on to another node
	callbackKept        = "kept"        // 200: late, and kept for a client that comes back
	callbackRepeated    = "repeated"    // 200: the first one stands
	callbackReported    = "reported"    // 200: progress
	callbackGone        = "gone"        // 410: late, and not kept
	callbackForged      = "forged"      // 404
	callbackTooLarge    = "too_large"   // 413
	callbackBadRequest  = "bad_request" // 400, 405, 408, 415
	callbackUnavailable = "unavailable" // 503
	callbackFailed      = "failed"      // 500
)

func callbackOutcomes() []string {
	return []string{
		callbackDelivered, callbackRelayed, callbackKept, callbackRepeated, callbackReported, callbackGone, callbackForged, callbackTooLarge, callbackBadRequest,
		callbackUnavailable, callbackFailed,
	}
}

// reasonRow says what a reason means for a create, and for a callback.
type reasonRow struct {
	reason   Reason
	outcome  string // of a create
	callback string // of a callback, as syncgate_callbacks_total counts it
	status   int    // not 0: faults without a reason of their own that have this status mean this
}

// reasons is the one table of them.
func reasons() [31]reasonRow {
	return [31]reasonRow{
		{BadBody, outcomeBadRequest, callbackBadRequest, fasthttp.StatusBadRequest},
		{BadEncoding, outcomeBadRequest, callbackBadRequest, fasthttp.StatusUnsupportedMediaType},
		{BodySize, outcomeBadRequest, callbackTooLarge, fasthttp.StatusRequestEntityTooLarge},
		{HeadSize, outcomeBadRequest, callbackBadRequest, fasthttp.StatusRequestHeaderFieldsTooLarge},
		{BadRequest, outcomeBadRequest, callbackBadRequest, 0},
		{TooSlow, outcomeBadRequest, callbackBadRequest, fasthttp.StatusRequestTimeout},
		{BadKey, outcomeBadRequest, callbackBadRequest, fasthttp.StatusUnprocessableEntity},
		{BadSignature, outcomeUnauthorized, callbackBadRequest, fasthttp.StatusUnauthorized},
		{BadTime, outcomeUnauthorized, callbackBadRequest, 0},
		{BadOrigin, outcomeForbidden, callbackBadRequest, fasthttp.StatusForbidden},
		{BadSubscription, outcomeForbidden, callbackBadRequest, 0},
		{BadAccept, outcomeBadRequest, callbackBadRequest, fasthttp.StatusNotAcceptable},
		{BadStatus, outcomeBadRequest, callbackBadRequest, 0},
		{UnknownPath, outcomeBadRequest, callbackBadRequest, fasthttp.StatusNotFound},
		{UnknownMethod, outcomeBadRequest, callbackBadRequest, fasthttp.StatusMethodNotAllowed},
		{ForgedName, outcomeBadRequest, callbackForged, 0},
		{NothingKept, outcomeBadRequest, callbackGone, fasthttp.StatusGone},
		{LoginParked, outcomeLimited, callbackUnavailable, fasthttp.StatusTooManyRequests},
		{LoginRate, outcomeLimited, callbackUnavailable, 0},
		{RouteParked, outcomeLimited, callbackUnavailable, 0},
		{RouteRate, outcomeLimited, callbackUnavailable, 0},
		{NodeParked, outcomeOverloaded, callbackUnavailable, fasthttp.StatusServiceUnavailable},
		{NodeFiles, outcomeOverloaded, callbackUnavailable, 0},
		{NodeBodies, outcomeOverloaded, callbackUnavailable, 0},
		{NodeResults, outcomeOverloaded, callbackUnavailable, 0},
		{EngineBusy, outcomeEngineBusy, callbackUnavailable, 0},
		{EngineUnreachable, outcomeEngineUnreachable, callbackUnavailable, 0},
		{EngineUnusable, outcomeEngineError, callbackUnavailable, fasthttp.StatusBadGateway},
		{CorrelatorDown, outcomeCorrelatorDown, callbackUnavailable, 0},
		{Draining, outcomeDraining, callbackUnavailable, 0},
		{InternalError, outcomeInternalError, callbackFailed, fasthttp.StatusInternalServerError},
	}
}

// whyOf gives the row of a fault: of its reason, else of its status, else of an internal error.
func whyOf(f *Fault) reasonRow {
	all := reasons()
	for _, row := range all {
		if f.Reason == row.reason || f.Reason == "" && f.Status == row.status {
			return row
		}
	}
	return all[len(all)-1]
}

// reasonOf names why a request was refused, for the log and the metrics.
func reasonOf(f *Fault) string { return string(whyOf(f).reason) }
