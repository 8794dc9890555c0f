package gateway

import (
	"github.com/valyala/fasthttp"

	"syncgate/dialect"
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
	reason   dialect.Reason
	outcome  string // of a create
	callback string // of a callback, as syncgate_callbacks_total counts it
	status   int    // not 0: faults without a reason of their own that have this status mean this
}

// reasons is the one table of them.
func reasons() [31]reasonRow {
	return [31]reasonRow{
		{dialect.BadBody, outcomeBadRequest, callbackBadRequest, fasthttp.StatusBadRequest},
		{dialect.BadEncoding, outcomeBadRequest, callbackBadRequest, fasthttp.StatusUnsupportedMediaType},
		{dialect.BodySize, outcomeBadRequest, callbackTooLarge, fasthttp.StatusRequestEntityTooLarge},
		{dialect.HeadSize, outcomeBadRequest, callbackBadRequest, fasthttp.StatusRequestHeaderFieldsTooLarge},
		{dialect.BadRequest, outcomeBadRequest, callbackBadRequest, 0},
		{dialect.TooSlow, outcomeBadRequest, callbackBadRequest, fasthttp.StatusRequestTimeout},
		{dialect.BadKey, outcomeBadRequest, callbackBadRequest, fasthttp.StatusUnprocessableEntity},
		{dialect.BadSignature, outcomeUnauthorized, callbackBadRequest, fasthttp.StatusUnauthorized},
		{dialect.BadTime, outcomeUnauthorized, callbackBadRequest, 0},
		{dialect.BadOrigin, outcomeForbidden, callbackBadRequest, fasthttp.StatusForbidden},
		{dialect.BadSubscription, outcomeForbidden, callbackBadRequest, 0},
		{dialect.BadAccept, outcomeBadRequest, callbackBadRequest, fasthttp.StatusNotAcceptable},
		{dialect.BadStatus, outcomeBadRequest, callbackBadRequest, 0},
		{dialect.UnknownPath, outcomeBadRequest, callbackBadRequest, fasthttp.StatusNotFound},
		{dialect.UnknownMethod, outcomeBadRequest, callbackBadRequest, fasthttp.StatusMethodNotAllowed},
		{dialect.ForgedName, outcomeBadRequest, callbackForged, 0},
		{dialect.NothingKept, outcomeBadRequest, callbackGone, fasthttp.StatusGone},
		{dialect.LoginParked, outcomeLimited, callbackUnavailable, fasthttp.StatusTooManyRequests},
		{dialect.LoginRate, outcomeLimited, callbackUnavailable, 0},
		{dialect.RouteParked, outcomeLimited, callbackUnavailable, 0},
		{dialect.RouteRate, outcomeLimited, callbackUnavailable, 0},
		{dialect.NodeParked, outcomeOverloaded, callbackUnavailable, fasthttp.StatusServiceUnavailable},
		{dialect.NodeFiles, outcomeOverloaded, callbackUnavailable, 0},
		{dialect.NodeBodies, outcomeOverloaded, callbackUnavailable, 0},
		{dialect.NodeResults, outcomeOverloaded, callbackUnavailable, 0},
		{dialect.EngineBusy, outcomeEngineBusy, callbackUnavailable, 0},
		{dialect.EngineUnreachable, outcomeEngineUnreachable, callbackUnavailable, 0},
		{dialect.EngineUnusable, outcomeEngineError, callbackUnavailable, fasthttp.StatusBadGateway},
		{dialect.CorrelatorDown, outcomeCorrelatorDown, callbackUnavailable, 0},
		{dialect.Draining, outcomeDraining, callbackUnavailable, 0},
		{dialect.InternalError, outcomeInternalError, callbackFailed, fasthttp.StatusInternalServerError},
	}
}

// whyOf gives the row of a fault: of its reason, else of its status, else of an internal error.
func whyOf(f *dialect.Fault) reasonRow {
	all := reasons()
	for _, row := range all {
		if f.Reason == row.reason || f.Reason == "" && f.Status == row.status {
			return row
		}
	}
	return all[len(all)-1]
}

// reasonOf names why a request was refused, for the log and the metrics.
func reasonOf(f *dialect.Fault) string { return string(whyOf(f).reason) }
