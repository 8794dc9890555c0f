package gateway_test

import "strings"

// The bad requests that this gateway knows, each with the reason why it is one and with its documented answer. How they
// are sent and checked stands in siege_test.go; after each of them a good trip must work.

// attack is a request of a careless or hostile peer.
type attack struct {
	name string
	why  string // what it would do if it were taken, or what its sender got wrong
	send string // bytes on the wire
	want verdict
}

// attacks gives all of them, by theme.
func (f *forge) attacks() map[string][]attack {
	return map[string][]attack{
		"signatures": f.signatures(), "logins": f.logins(), "times": f.times(), "paths": f.paths(), "methods": f.methods(),
		"JSON": f.syntax(), "text": f.text(), "duplicates": f.duplicates(), "envelopes": f.envelopes(), "timeouts": f.timeouts(),
		"operations": f.operations(), "encodings": f.encodings(), "sizes": f.sizes(), "lengths": f.lengths(),
		"codings": f.codings(), "chunks": f.chunks(), "heads": f.heads(), "versions": f.versions(), "smuggling": f.smuggling(),
		"expectations": f.expectations(), "strict": f.strict(), "tokens": f.tokens(), "callback paths": f.callbackPaths(), "callbacks": f.callbacks(),
		"XML": f.xml(), "tasks": f.tasks(), "origins": f.origins(), "request ids": f.requestIDs(),
	}
}

func (f *forge) signatures() []attack {
	body := create(`{}`)
	good := f.signature(f.now, body)
	unsigned := func(name, why, signature string) attack {
		return attack{name, why, post(f.path(login, f.now, signature), body), refused(401, "Incorrect signature")}
	}
	return []attack{
		unsigned("zeros", "nobody has signed it", strings.Repeat("0", 40)),
		unsigned("one digit off", "all of it counts", flip(good, 0)),
		unsigned("last digit off", "a comparison that ends early would take it", flip(good, 39)),
		unsigned("truncated", "39 digits are guessed sooner than 40", good[:39]),
		unsigned("first half", "a comparison of the shorter length would take it", good[:20]),
		unsigned("one digit", "likewise", good[:1]),
		unsigned("empty", "a comparison of the shorter length would take anything", ""),
		unsigned("extended", "one spelling per signature", good+"0"),
		unsigned("twice", "a list of signatures is none", good+","+good),
		unsigned("not hex", "a decoder's error must not be a match", strings.Repeat("z", 40)),
		unsigned("null", "what a client writes that has none", "null"),
		unsigned("percent-encoded", "the raw segment is looked at, or one request has many spellings", "%"+hex(good[0])+good[1:]),
		unsigned("a NUL behind it", "C strings end there", good+"%00"),
		unsigned("base64", "the scheme is hex", base64SHA1(f.now+secret+body+secret)),
		unsigned("HMAC-SHA1", "a client took the scheme for an HMAC", hmacSHA1(secret, f.now+body)),
		unsigned("SHA-256", "another library's scheme", sha256Hex(f.now+secret+body+secret)),
		unsigned("secret only in front", "length extension would forge it", sha1Hex(f.now+secret+body)),
		unsigned("without the secret", "anybody can compute it", sha1Hex(f.now+body)),
		unsigned("without the time", "it could be replayed for ever", sha1Hex(secret+body+secret)),
		unsigned("of the next second", "the time in the path is what is signed", f.signature(f.shifted(1), body)),
		unsigned("of another body", "an intercepted signature put before one's own order", f.signature(f.now, create(`{"sum":9}`))),
		unsigned("of the body and a newline", "an editor added it: bytes are signed, not meaning", f.signature(f.now, body+"\n")),
		unsigned("of the body with blanks", "a proxy that rewrites JSON breaks signatures", f.signature(f.now, strings.ReplaceAll(body, ":", ": "))),
		unsigned("of nothing", "as for a request without body", f.signature(f.now, "")),
		unsigned("with another login's secret", "one customer must not act as another", sha1Hex(f.now+otherSecret+body+otherSecret)),
		unsigned("in the query", "only the path is looked at", "?signature="+good),
		{
			"a body changed on the way", "the signature is what protects the sum",
			post(f.path(login, f.now, f.signature(f.now, create(`{"sum":1}`))), create(`{"sum":9}`)), refused(401, "Incorrect signature"),
		},
		{"upper case", "it is none: the case of hex does not matter", post(f.path(login, f.now, strings.ToUpper(good)), body), trip()},
		{"mixed case", "likewise", post(f.path(login, f.now, strings.ToUpper(good[:20])+good[20:]), body), trip()},
	}
}

func (f *forge) logins() []attack {
	body := create(`{}`)
	good := f.signature(f.now, body)
	as := func(name, why, who string) attack {
		return attack{name, why, post(f.path(who, f.now, good), body), refused(401, "Incorrect signature")}
	}
	return []attack{
		as("unknown", "it must look like a wrong signature, or logins can be listed", "99999"),
		as("empty", "no login is nobody's login", ""),
		as("another's", "the secret belongs to one login", otherLogin),
		as("prefix", "a look-up by prefix would find it", login[:4]),
		as("extended", "likewise", login+"0"),
		as("blank behind", "trimmed names are other names", login+"%20"),
		as("percent-encoded", "one login has one spelling", "%31"+login[1:]),
		as("leading zero", "a login is text, not a number", "0"+login),
		as("full-width digits", "they look alike and are not", "１２３４５"),
		as("NUL behind", "C strings end there", login+"%00"),
		as("the engine's", "who we are to the engine is not who may ask us", engineLogin),
		as("quotes", "SQL and logs", "'%20or%201=1--"),
		as("wildcard", "no pattern matches a login", "*"),
		as("very long", "a log line and a metric label must not grow with it", strings.Repeat("9", 4000)),
		{
			"unknown with an empty secret", "an absent secret is not an empty one",
			post(f.path("99999", f.now, sha1Hex(f.now+body)), body), refused(401, "Incorrect signature"),
		},
		{
			"the engine's with its secret", "that secret signs to the engine and never to us",
			post(f.path(engineLogin, f.now, sha1Hex(f.now+engineSecret+body+engineSecret)), body), refused(401, "Incorrect signature"),
		},
	}
}

func (f *forge) times() []attack {
	body := create(`{}`)
	at := func(name, why, stamp string) attack {
		return attack{name, why, post(f.path(login, stamp, f.signature(stamp, body)), body), refused(401, "Request time is outside the allowed window")}
	}
	fine := func(name, why, stamp string) attack {
		return attack{name, why, post(f.path(login, stamp, f.signature(stamp, body)), body), trip()}
	}
	return []attack{
		at("six minutes old", "an overheard request must not be good for long", f.shifted(-360)),
		at("six minutes ahead", "nor one that was signed to be used later", f.shifted(360)),
		at("just too old", "the window is 300 s", f.shifted(-330)),
		at("a second of the minute", "some client sends 0 to 59", "37"),
		at("zero", "a clock that was never set", "0"),
		at("milliseconds", "what Date.now() gives", f.now+"000"),
		at("a year ahead", "a clock that is wrong", f.shifted(365*24*3600)),
		at("empty", "no time is no window", ""),
		at("negative", "no sign", "-"+f.now),
		at("plus", "no sign", "+"+f.now),
		at("blank in front", "no blanks", "%20"+f.now),
		at("percent-encoded digit", "one time has one spelling", "%31"+f.now[1:]),
		at("exponent", "1e999 is later than any window", "1e999"),
		at("exponent of now", "digits and nothing else", f.now+"e0"),
		at("hexadecimal", "digits and nothing else", "0x6553f100"),
		at("underscores", "a literal of a programming language", f.now[:4]+"_"+f.now[4:]),
		at("comma", "a decimal point of another country", f.now+",5"),
		at("two points", "no number", f.now+".5.5"),
		at("only a fraction", "no number", ".5"),
		at("NaN", "every comparison with it is false", "NaN"),
		at("Inf", "a window around infinity", "Inf"),
		at("a date", "RFC 3339 is not Unix time", "2026-11-22T04:00:00Z"),
		at("arabic digits", "digits to some parsers, 3000 years off to others", "١٧٩٥٣١١٥٠٧"),
		at("400 digits", "an overflow that wraps to now", strings.Repeat("9", 400)),
		at("2^64 + now", "an overflow that wraps to now", f.wrapped()),
		at("NUL behind", "C strings end there", f.now+"%00"),
		{
			"old and wrongly signed", "the signature is looked at first: a stranger learns nothing of our clock",
			post(f.path(login, "1700000000", strings.Repeat("0", 40)), body), refused(401, "Incorrect signature"),
		},
		fine("a float", "it is none: one public client sends it", f.now+".7359896"),
		fine("near the old end", "it is none", f.shifted(-270)),
		fine("near the new end", "it is none", f.shifted(270)),
	}
}

func (f *forge) paths() []attack {
	body := create(`{}`)
	tail := login + "/" + f.now + "/" + f.signature(f.now, body)
	lost := func(name, why, path string) attack {
		return attack{name, why, post(path, body), refused(404, "Not found")}
	}
	return []attack{
		lost("root", "nothing is there", "/"),
		lost("version 3", "1 and 2 are the versions", "/api/3/json/"+tail),
		lost("version 0", "likewise", "/api/0/json/"+tail),
		lost("version 12", "one digit", "/api/12/json/"+tail),
		lost("no version", "likewise", "/api/json/"+tail),
		lost("xml", "the synchronous protocol is JSON", "/api/1/xml/"+tail),
		lost("nvp", "likewise", "/api/2/nvp/"+tail),
		lost("upper-case path", "paths have a case", "/API/1/JSON/"+tail),
		lost("encoded letter", "a filter in front that looks for /api/1/json would miss it", "/api/1/%6Ason/"+tail),
		lost("encoded slash", "one path has one spelling", "/api/1/json%2F"+tail),
		lost("doubled slash in front", "an empty segment is a segment", "//api/1/json/"+tail),
		lost("doubled slash within", "likewise", "/api//1/json/"+tail),
		lost("doubled slash before the login", "likewise", "/api/1/json//"+tail),
		lost("slash behind", "an extra segment", "/api/1/json/"+tail+"/"),
		lost("extra segment", "what else was asked for is unknown", "/api/1/json/"+tail+"/extra"),
		lost("missing signature", "nothing is signed", "/api/1/json/"+login+"/"+f.now),
		lost("only a login", "likewise", "/api/1/json/"+login),
		lost("prefix alone", "likewise", "/api/1/json/"),
		{"no slash at the end of the prefix", "the credentials are in headers, and there are none", post("/api/1/json", body), refused(401, "Incorrect signature or login")},
		lost("dot", "normalising would make one path of many", "/./api/1/json/"+tail),
		lost("dot dot", "a rule of a proxy for /public would let it through", "/public/../api/1/json/"+tail),
		lost("encoded dot dot", "likewise", "/public/%2e%2e/api/1/json/"+tail),
		lost("dot dot behind", "likewise", "/api/1/json/"+tail+"/../x"),
		lost("backslashes", "a slash on some systems", `/api\1\json\`+strings.ReplaceAll(tail, "/", `\`)),
		lost("semicolon", "a parameter of a segment to some servers", "/api/1/json;v=1/"+tail),
		lost("a file", "there are none here", "/../../etc/passwd"),
		lost("a dotfile", "what scanners look for", "/.env"),
		lost("admin on the public side", "metrics are not for clients", "/metrics"),
		lost("profiles on the public side", "nor is the memory of the process", "/debug/pprof/heap"),
		lost("absolute form of another path", "RFC 9112, 3.2.2: the path in it counts", "http://gateway/api/3/json/"+tail),
		lost("absolute form without path", "its path is /", "http://gateway"),
		lost("a long path", "it names nothing and is not logged whole", "/"+strings.Repeat("a", 8000)),
		{"fragment", "it belongs to the signature, as it was sent", post("/api/1/json/"+tail+"#x", body), refused(401, "Incorrect signature")},
		{"query", "it is none: no part of the path, and not signed", post("/api/1/json/"+tail+"?x=1", body), trip()},
		{"absolute form", "it is none: servers must take it (RFC 9112, 3.2.2)", post("http://gateway/api/1/json/"+tail, body), trip()},
		{"version 2", "it is none", post("/api/2/json/"+tail, body), trip()},
	}
}

func (f *forge) methods() []attack {
	body := create(`{}`)
	path := f.signed(body)
	with := func(name, why, method, path, allow string) attack {
		return attack{name, why, request(method, path, body), refused(405, "Method not allowed").with("Allow", allow)}
	}
	return []attack{
		with("GET on a create", "a link, a prefetch or a cache must not create", "GET", path, "POST"),
		with("HEAD on a create", "likewise", "HEAD", path, "POST"),
		with("PUT on a create", "it is not idempotent", "PUT", path, "POST"),
		with("PATCH on a create", "nothing to patch", "PATCH", path, "POST"),
		with("DELETE on a create", "nothing to delete", "DELETE", path, "POST"),
		with("TRACE on a create", "it would echo credentials", "TRACE", path, "POST"),
		with("CONNECT on a create", "this is no proxy", "CONNECT", path, "POST"),
		with("lower-case method", "methods have a case (RFC 9110, 9.1)", "post", path, "POST"),
		with("unknown method", "nothing is known of what it asks for", "BREW", path, "POST"),
		with("PRI", "a fragment of HTTP/2", "PRI", path, "POST"),
		with("POST on a task", "tasks are only read", "POST", f.task, "GET"),
		with("DELETE on a task", "likewise", "DELETE", f.task, "GET"),
		with("POST on health", "likewise", "POST", "/healthz", "GET"),
		with("PUT on readiness", "nobody may set it", "PUT", "/readyz", "GET"),
		{
			"override by header", "a cache or filter in front saw a GET",
			request("GET", path, body, "X-HTTP-Method-Override: POST"), refused(405, "Method not allowed").with("Allow", "POST"),
		},
		{"wrong path and method", "the path is looked at first", request("DELETE", "/nowhere", ""), refused(404, "Not found")},
	}
}

// syntax are bodies that are not JSON.
func (f *forge) syntax() []attack {
	bad := f.badBody
	whole := create(`{"a":"b"}`)
	return []attack{
		bad("empty", "nothing was asked for", ""),
		bad("blanks", "likewise", " \r\n\t "),
		bad("cut after the brace", "a connection that broke", whole[:1]),
		bad("cut in a name", "likewise", whole[:4]),
		bad("cut after the name", "likewise", whole[:6]),
		bad("cut after the colon", "likewise", whole[:7]),
		bad("cut in a string", "likewise", whole[:len(whole)-6]),
		bad("cut before the last brace", "a parser that does not look for the end takes it", whole[:len(whole)-1]),
		bad("cut before the last two", "likewise", whole[:len(whole)-2]),
		bad("a brace too much", "somebody else parses the rest", whole+"}"),
		bad("a bracket too much", "likewise", whole+"]"),
		bad("two values", "which one was signed for", whole+whole),
		bad("two values in lines", "likewise", whole+"\n"+whole),
		bad("garbage behind", "a padded body", whole+" garbage"),
		bad("NUL behind", "C strings end there, JSON does not", whole+"\x00"),
		bad("NUL in front", "likewise", "\x00"+whole),
		bad("NUL between", "likewise", strings.Replace(whole, ",", ",\x00", 1)),
		bad("comma at the end of the object", "JavaScript, not JSON", `{"ops":[{"type":"create","obj":"task","conv_id":1,}]}`),
		bad("comma at the end of the array", "likewise", `{"ops":[{"type":"create","obj":"task","conv_id":1},]}`),
		bad("comma in front", "likewise", `{,"ops":[]}`),
		bad("missing comma", "two members or one", `{"timeout":1 "ops":[]}`),
		bad("missing colon", "likewise", `{"ops" []}`),
		bad("brackets crossed", "a counter of brackets would take it", `{"ops":[{"type":"create"]}}`),
		bad("comment", "JavaScript, not JSON", strings.Replace(whole, "{", "{/**/", 1)),
		bad("line comment", "likewise", whole+"//x"),
		bad("single quotes", "Python's repr, not JSON", strings.ReplaceAll(whole, `"`, "'")),
		bad("names without quotes", "JavaScript, not JSON", `{ops:[]}`),
		bad("number as name", "likewise", `{1:2,"ops":[]}`),
		bad("True", "Python's repr, not JSON", create(`{"a":True}`)),
		bad("undefined", "JavaScript, not JSON", create(`{"a":undefined}`)),
		bad("NaN", "a float that JSON has not", create(`{"a":NaN}`)),
		bad("Infinity", "likewise", create(`{"a":-Infinity}`)),
		bad("leading zero", "octal to some, decimal to others: two sums", create(`{"sum":0100}`)),
		bad("plus", "no JSON number", create(`{"sum":+1}`)),
		bad("point in front", "likewise", create(`{"sum":.5}`)),
		bad("point behind", "likewise", create(`{"sum":5.}`)),
		bad("hexadecimal", "likewise", create(`{"sum":0x10}`)),
		bad("empty exponent", "likewise", create(`{"sum":1e}`)),
		bad("two signs", "likewise", create(`{"sum":--1}`)),
		bad("a form", "curl's default", "ops=1&timeout=5"),
		bad("XML", "another format of this API", "<?xml version=\"1.0\"?><ops/>"),
		bad("YAML", "a superset of JSON is not JSON", "ops:\n- type: create\n"),
		bad("UTF-16", "JSON between systems is UTF-8 (RFC 8259, 8.1)", "{\x00\"\x00o\x00p\x00s\x00\"\x00:\x00[\x00]\x00}\x00"),
		bad("gzip unannounced", "a proxy that forgot a header", "\x1f\x8b\x08\x00\x00\x00\x00\x00"),
		bad("129 levels", "one more than is taken", create(nested(129-envelope))),
		bad("100,000 arrays", "a recursive parser dies of its stack", strings.Repeat("[", 100_000)),
		bad("100,000 objects", "likewise", strings.Repeat(`{"a":`, 50_000)),
		bad("100,000 arrays within data", "likewise, in what is only passed through", create(`{"a":`+strings.Repeat("[", 100_000))),
		{"128 levels", "it is none", f.create(create(nested(128 - envelope))), trip()},
	}
}

// text are bodies whose text is not what it says.
func (f *forge) text() []attack {
	bad := f.badBody
	fine := func(name, why, body string) attack { return attack{name, why, f.create(body), trip()} }
	return []attack{
		bad("byte order mark", "RFC 8259, 8.1: none is sent, and engines choke on it", "\ufeff"+create(`{}`)),
		bad("stray continuation byte", "no UTF-8: two systems would read two names", create("{\"a\":\"\x80\"}")),
		bad("cut sequence", "it would eat the quote", create("{\"a\":\"\xe2\x82\"}")),
		bad("overlong slash", "a filter for / would miss it", create("{\"a\":\"\xc0\xaf\"}")),
		bad("overlong NUL", "Java's modified UTF-8", create("{\"a\":\"\xc0\x80\"}")),
		bad("encoded surrogate", "CESU-8, not UTF-8", create("{\"a\":\"\xed\xa0\xbd\xed\xb8\x80\"}")),
		bad("beyond Unicode", "there is no such character", create("{\"a\":\"\xf4\x90\x80\x80\"}")),
		bad("0xFF", "never in UTF-8", create("{\"a\":\"\xff\"}")),
		bad("Latin-1", "a client with an old encoding", create("{\"a\":\"\xe9\"}")),
		bad("in a name", "names are text as well", create("{\"\xff\":1}")),
		bad("in a ref", "it would come back in the reply", `{"ops":[{"type":"create","obj":"task","conv_id":1,"ref":"`+"\xff"+`"}]}`),
		bad("raw line feed in a string", "control characters are escaped in JSON", create("{\"a\":\"x\ny\"}")),
		bad("raw tab in a string", "likewise", create("{\"a\":\"x\ty\"}")),
		bad("raw NUL in a string", "likewise", create("{\"a\":\"x\x00y\"}")),
		bad("unknown escape", "no JSON", create(`{"a":"\x41"}`)),
		bad("short escape", "likewise", create(`{"a":"\u12"}`)),
		bad("escape without digits", "likewise", create(`{"a":"\uZZZZ"}`)),
		bad("escaped end", "the string has none", create(`{"a":"\"}`)),
		fine("escaped lone surrogate", "it is none: JSON.stringify makes them", create(`{"a":"\ud83d"}`)),
		fine("escaped NUL", "it is none: our bytes pass through", create(`{"a":"\u0000"}`)),
		fine("a number of 10,000 digits", "it is none: no float is made of it", create(`{"a":`+strings.Repeat("7", 10_000)+`}`)),
		fine("1e400 within data", "likewise", create(`{"a":1e400}`)),
		fine("bidirectional text", "it is none: text is not ours to judge", create(`{"a":"`+"\u202e"+`"}`)),
	}
}

func (f *forge) duplicates() []attack {
	bad := f.badBody
	op := func(members string) string {
		return `{"ops":[{"type":"create","obj":"task","conv_id":1,` + members + `}]}`
	}
	return []attack{
		bad("ops twice", "we would check one and the engine take the other", `{"ops":[],`+create(`{}`)[1:]),
		bad("ops twice, one escaped", "likewise, and a plain comparison misses it", `{"\u006fps":[],`+create(`{}`)[1:]),
		bad("ops twice, the second escaped", "likewise", `{"ops":[{"type":"create","obj":"task","conv_id":1}],"op\u0073":[]}`),
		bad("timeout twice", "the client's wait would depend on the parser", `{"timeout":1,"timeout":300,`+create(`{}`)[1:]),
		bad("timeout twice, one escaped", "likewise", `{"timeout":1,"time\u006Fut":300,`+create(`{}`)[1:]),
		bad("an unknown member twice", "it goes on to the engine, which picks one", `{"x":1,"x":2,`+create(`{}`)[1:]),
		bad("data twice", "one would carry a callback URL of the client's own", op(`"data":{},"data":{"__callback_url":"http://evil"}`)),
		bad("data twice, one escaped", "likewise", op(`"data":{},"d\u0061ta":{"__callback_url":"http://evil"}`)),
		bad("type twice", "allowed and not allowed at once", op(`"data":{},"type":"delete"`)),
		bad("type twice, one escaped", "likewise", op(`"data":{},"\u0074ype":"delete"`)),
		bad("obj twice", "likewise", op(`"data":{},"obj":"conv"`)),
		bad("conv_id twice", "two processes: which one is paid for", op(`"data":{},"conv_id":2`)),
		bad("ref twice", "which one is echoed", op(`"ref":"a","ref":"b","data":{}`)),
		bad("id twice", "which one is matched", op(`"id":"a","id":"b","data":{}`)),
		bad("an unknown one twice in an op", "the engine picks one", op(`"x":1,"x":2,"data":{}`)),
		bad("empty names twice", "likewise", op(`"":1,"":2,"data":{}`)),
		bad("in the second op", "every op is looked at", strings.TrimSuffix(op(`"data":{}`), "]}")+`,{"type":"create","type":"create","obj":"task"}]}`),
		bad("in an op that is refused", "likewise", `{"ops":[{"type":"delete","obj":"conv","obj":"task"}]}`),
		{"within data", "it is none: data is not ours", f.create(create(`{"a":1,"a":2}`)), trip()},
		{"deep within data", "likewise", f.create(create(`{"a":{"b":1,"b":2}}`)), trip()},
		{"names that differ by case", "they are two names", f.create(`{"OPS":[],"Timeout":-1,` + create(`{}`)[1:]), trip()},
	}
}

// envelopes are bodies whose parts are of a wrong type.
func (f *forge) envelopes() []attack {
	bad := f.badBody
	refusal := func(name, why, op, what string) attack {
		return attack{name, why, f.create(`{"ops":[` + op + `]}`), opRefused("Operation is not allowed: " + what)}
	}
	data := func(name, value string) attack {
		return bad("data is "+name, "the callback URL could not be put into it", create(value))
	}
	return []attack{
		bad("null", "no object", `null`), bad("a number", "no object", `1`), bad("a string", "no object", `"ops"`),
		bad("true", "no object", `true`), bad("an empty array", "no object", `[]`), bad("an array of ops", "no object", `[`+create(`{}`)+`]`),
		bad("an empty object", "no ops", `{}`), bad("only a timeout", "no ops", `{"timeout":5}`),
		bad("OPS", "names have a case", `{"OPS":[{"type":"create","obj":"task","conv_id":1}]}`),
		bad("op", "no ops", `{"op":{"type":"create","obj":"task","conv_id":1}}`),
		bad("ops null", "no ops", `{"ops":null}`), bad("ops false", "no ops", `{"ops":false}`), bad("ops 0", "no ops", `{"ops":0}`),
		bad("ops a string", "JSON in JSON", `{"ops":"[]"}`), bad("ops empty", "at least one", `{"ops":[]}`),
		bad("an op null", "no op", `{"ops":[null]}`), bad("an op a number", "no op", `{"ops":[1]}`),
		bad("an op a string", "no op", `{"ops":["create"]}`), bad("an op an array", "no op", `{"ops":[[]]}`),
		bad("the second op null", "every op is looked at", strings.TrimSuffix(create(`{}`), "]}")+`,null]}`),
		data("a number", `1`), data("a string", `"{}"`), data("true", `true`), data("false", `false`), data("zero", `0`),
		data("an empty string", `""`), data("an array with something in it", `[1]`), data("an array of an object", `[{}]`),
		{"data is null", "it is none: it counts as {}", f.create(create(`null`)), trip()},
		{"data is []", "it is none: PHP writes {} so", f.create(create(`[]`)), trip()},
		{"data is [ ]", "likewise", f.create(create("[ \n ]")), trip()},
		{"data is absent", "likewise", f.create(`{"ops":[{"type":"create","obj":"task","conv_id":1}]}`), trip()},
		{"ops is one object", "it is none: an Erlang client sends it", f.create(`{"ops":{"type":"create","obj":"task","conv_id":1,"data":{}}}`), trip()},
		refusal("no type", "a default could be the wrong one", `{"obj":"task","conv_id":1,"data":{}}`, " task"),
		refusal("no obj", "likewise", `{"type":"create","conv_id":1,"data":{}}`, "create "),
		refusal("an empty op", "likewise", `{}`, " "),
		refusal("type null", "likewise", `{"type":null,"obj":"task","conv_id":1}`, "null task"),
		refusal("obj a number", "likewise", `{"type":"create","obj":1,"conv_id":1}`, "create 1"),
	}
}

func (f *forge) timeouts() []attack {
	bad := func(name, why, value string) attack {
		return attack{name, why, f.create(`{"timeout":` + value + `,` + create(`{}`)[1:]), refused(400, "Incorrect body")}
	}
	fine := func(name, why, value string) attack {
		return attack{name, why, f.create(`{"timeout":` + value + `,` + create(`{}`)[1:]), trip()}
	}
	return []attack{
		bad("0", "nobody can be answered in no time", `0`), bad("0.0", "likewise", `0.0`), bad("0e9", "likewise", `0e9`), bad("-0", "likewise", `-0`),
		bad("negative", "a deadline in the past", `-1`), bad("negative and small", "likewise", `-0.001`), bad("-1e999", "likewise", `-1e999`),
		bad("empty string", "no number", `""`), bad("string 0", "as the number", `"0"`), bad("negative string", "likewise", `"-5"`),
		bad("blank in front", "no blanks", `" 5"`), bad("blank behind", "no blanks", `"5 "`), bad("line feed", "no blanks", `"5\n"`),
		bad("with a unit", "30s of another configuration", `"30s"`), bad("a word", "no number", `"soon"`), bad("plus", "no JSON number", `"+5"`),
		bad("point in front", "no JSON number", `".5"`), bad("point behind", "no JSON number", `"5."`), bad("leading zero", "no JSON number", `"05"`),
		bad("hexadecimal", "no JSON number", `"0x10"`), bad("underscore", "no JSON number", `"1_000"`), bad("comma", "no JSON number", `"1,5"`),
		bad("Infinity", "no JSON number", `"Infinity"`), bad("NaN", "no comparison holds", `"NaN"`), bad("arabic digit", "no JSON number", `"٣"`),
		bad("quotes in it", "JSON in JSON", `"\"5\""`), bad("NUL in it", "C strings end there", `"5\u0000"`),
		bad("true", "1 in some languages", `true`), bad("false", "0 in some languages", `false`), bad("array", "a number in PHP", `[5]`), bad("object", "no number", `{}`),
		fine("1e999", "it is none: capped, however large", `1e999`), fine("1e999 as a string", "likewise", `"1e999"`),
		fine("400 digits", "likewise", strings.Repeat("9", 400)), fine("escaped digits", "it is none: the text counts", `"\u0033"`),
		fine("null", "it is none: as if absent", `null`), fine("a fraction", "it is none", `2.5`), fine("an exponent", "it is none", `5E0`),
	}
}

func (f *forge) operations() []attack {
	one := func(name, why, typ, obj, what string) attack {
		op := `{"type":` + typ + `,"obj":` + obj + `,"conv_id":1,"data":{}}`
		return attack{name, why, f.create(`{"ops":[` + op + `]}`), opRefused("Operation is not allowed: " + what)}
	}
	op := `{"type":"create","obj":"task","conv_id":1,"data":{}}`
	return []attack{
		one("delete a task", "not in auth.ops", `"delete"`, `"task"`, "delete task"),
		one("delete a process", "the same signature opens the whole API of the engine", `"delete"`, `"conv"`, "delete conv"),
		one("create a process", "likewise", `"create"`, `"conv"`, "create conv"),
		one("create a user", "likewise", `"create"`, `"user"`, "create user"),
		one("show a task", "likewise", `"show"`, `"task"`, "show task"),
		one("Create", "names have a case", `"Create"`, `"task"`, "Create task"),
		one("TASK", "names have a case", `"create"`, `"TASK"`, "create TASK"),
		one("blank behind", "trimmed names are other names", `"create "`, `"task"`, "create  task"),
		one("both in one", "a key put together is taken apart elsewhere", `"create:task"`, `""`, "create:task "),
		one("the pair shifted", "likewise", `"create:"`, `"task"`, "create: task"),
		one("NUL behind", "C strings end there", `"create\u0000"`, `"task"`, "create\x00 task"),
		one("markup", "what comes back is text", `"<script>"`, `"task"`, "<script> task"),
		one("quotes", "what comes back is still JSON", `"\",\"proc\":\"ok"`, `"task"`, `","proc":"ok task`),
		{"escaped names", "it is none: the text counts", f.create(`{"ops":[{"type":"cre\u0061te","obj":"t\u0061sk","conv_id":1,"data":{}}]}`), trip()},
		f.badBody("101 operations", "one request must not be a flood", `{"ops":[`+strings.Repeat(op+",", 100)+op+`]}`),
		{"100 operations", "it is none", f.create(`{"ops":[` + strings.Repeat(op+",", 99) + op + `]}`), trip()},
		{"one of two", "it is none: each op has its own answer", f.create(`{"ops":[` + op + `,{"type":"delete","obj":"task"}]}`), trip()},
	}
}

func (f *forge) encodings() []attack {
	body := create(`{}`)
	coded := func(coding string) attack {
		why := "what is signed, forwarded and counted must be what was sent; and bombs"
		return attack{coding, why, post(f.signed(body), body, "Content-Encoding: "+coding), refused(415, "Content-Encoding is not supported")}
	}
	return []attack{
		coded("gzip"), coded("deflate"), coded("br"), coded("zstd"), coded("GZIP"), coded("gzip, gzip"), coded("chunked"), coded("unknown"),
		{
			"gzip, wrongly signed", "the signature is looked at first",
			post(f.path(login, f.now, strings.Repeat("0", 40)), body, "Content-Encoding: gzip"), refused(401, "Incorrect signature"),
		},
		{"identity, then gzip", "every line counts", post(f.signed(body), body, "Content-Encoding: identity", "Content-Encoding: gzip"), refused(415, "Content-Encoding is not supported")},
		{"nothing, then gzip", "an empty line hides none", post(f.signed(body), body, "Content-Encoding:", "Content-Encoding: gzip"), refused(415, "Content-Encoding is not supported")},
		{"identity twice", "it is none: nothing is encoded", post(f.signed(body), body, "Content-Encoding: identity", "Content-Encoding: identity, identity"), trip()},
		{"gzip around no JSON", "the encoding is looked at before the body", post(f.signed("no"), "no", "Content-Encoding: gzip"), refused(415, "Content-Encoding")},
		{"a wrong type", "it is none: clients send all kinds", post(f.signed(body), body, "Content-Type: text/xml; charset=\"utf-8\""), trip()},
		{"a multipart type", "likewise, and nothing is parsed by it", post(f.signed(body), body, "Content-Type: multipart/form-data; boundary=x"), trip()},
	}
}
