package configs

import (
	"syncgate/correlator/redis"
	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/metrici"
	"syncgate/dialect/os1"
	"syncgate/dialect/rest"
	"syncgate/dialect/waiter"
	"syncgate/gateway"
	"syncgate/signer"
)

// words are the settings that take one of a few words, by key path, with [] for the elements of a list and {} for the values of a map. Those of a map's own
// key path are its names. An empty word is where nothing may stand. The packages that have the sections check them; TestWords holds this table against
// what they say.
func words() map[string][]string {
	methods := []string{"GET", "POST", "PUT", "PATCH", "DELETE"}
	schemes := []string{"", string(signer.OS1HMAC), string(signer.OS1Concat)}
	return map[string][]string{
		"listen.proxy_protocol[]": {"public", "callback"},
		"callback.methods[]":      {"POST", "PUT", "PATCH", "GET"},
		"engine.ack":              {dialect.AckProtocol, dialect.AckAny},
		"correlator.backend":      {Memory, Redis},
		"correlator.when_down":    {gateway.Refuse, gateway.Local},
		"correlator.redis.mode":   {redis.Standalone, redis.Sentinel, redis.Cluster},
		"on_disconnect":           {dialect.Keep, dialect.Drop},
		"log.level":               {"debug", "info", "warn", "error"},
		"log.format":              {"json", "console"},

		"engines[].kind":          {httpengine.Kind, metrici.Kind, os1.Kind},
		"engines[].method":        append([]string{""}, methods...),
		"engines[].cancel.method": append([]string{""}, methods...),
		"engines[].status.map{}":  {"start", "progress", "complete", "cancel", "error"},
		"engines[].os1.signature": schemes,
		"engines[].body":          {"", metrici.BodyForm, metrici.BodyJSON, metrici.BodyServiceJSON},

		"routes[].methods[]":     methods,
		"routes[].auth":          {rest.AuthNone, rest.AuthBasic, rest.AuthKey, rest.AuthCorezoid},
		"routes[].at_wait_end":   {rest.EndTask, rest.EndTimeout, rest.EndRedirect},
		"routes[].view":          {rest.ViewAuto, rest.ViewPlain, rest.ViewHAL, rest.ViewOS1},
		"routes[].hal.failed":    {rest.FailedOK, rest.FailedStatus},
		"routes[].data":          {"", rest.DataMembers, rest.DataRequest, rest.DataBoth, rest.DataRaw},
		"routes[].states":        {"active", "start", "progress", "complete", "error", "cancel", "timeout"},
		"routes[].on_disconnect": {"", dialect.Keep, dialect.Drop, "cancel"},
		"routes[].os1.signature": schemes,

		"waiters[].engine":               {waiter.EngineForward, waiter.EngineNone},
		"waiters[].verify.preset":        {"", "github", "liqpay", "mandrill", "meta", "slack", "standard-webhooks", "stripe", "twilio"},
		"waiters[].verify.kind":          {"", "none", "hmac", "standard-webhooks", "basic", "networks"},
		"waiters[].verify.secret_format": {"", "text", "hex", "base64", "whsec"},
		"waiters[].verify.algorithm":     {"", "sha1", "sha256", "sha3-256", "sha512"},
		"waiters[].verify.encoding":      {"", "hex", "base64"},
	}
}

// textPatterns are the settings that take a few words and others that begin in a certain way, by key path as words has it.
func textPatterns() map[string]string {
	return map[string]string{
		"auth.ops[]":     `^[^:]+:[^:]+$`,
		"waiters[].key":  `^(ref|task_id|data\..+)$`,
		"waiters[].body": `^(|auto|json|form|xml|base64-json:.+)$`,
	}
}

// required are the keys that an element of a list must have, by the key path of the list with [].
func required() map[string][]string {
	return map[string][]string{
		"engines[]":          {"name", "kind", "url"},
		"auth.credentials[]": {"login"},
		"routes[]":           {"name", "path"},
		"access[]":           {"name", "routes"},
		"waiters[]":          {"name", "conv_id", "timer"},
	}
}
