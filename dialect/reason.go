package dialect

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
