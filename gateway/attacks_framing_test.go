package gateway_test

import (
	"strconv"
	"strings"
)

// Attacks on the reading of requests: how large they are, where they end, and whether they are HTTP at all.

func (f *forge) sizes() []attack {
	path, forged := f.path(login, f.now, strings.Repeat("0", 40)), "/api/1/plugins/callback/"+flip(f.token, 5)
	parked, large := "/api/1/plugins/callback/"+f.token, strconv.Itoa(bodyLimit+1)
	announced := func(method, path, n string) string { return request(method, path, "", "Content-Length: "+n) }
	big := refused(413, "Body is larger than").close()
	full := create(`{"pad":"` + strings.Repeat("x", bodyLimit-len(create(`{"pad":""}`))) + `"}`)
	return []attack{
		{"one byte too many announced", "its memory would be taken before it has come", announced("POST", path, large), big},
		{"a terabyte announced", "likewise", announced("POST", path, "1099511627776"), big},
		{"2^63-1 announced", "likewise", announced("POST", path, "9223372036854775807"), big},
		{"one byte too many", "the size is looked at before the signature", post(path, full+" "), big},
		{"too many in chunks", "nothing was announced: it is counted", chunked(path, full+" "), big},
		{"a chunk of 2 GiB", "the announcement is enough", coded(path, "7fffffff\r\n"), big},
		{"too large for a path that is none", "the path is looked at first", announced("POST", "/nowhere", large), refused(404, "Not found").close()},
		{"too large for a method that is none", "so is the method", announced("PUT", path, large), refused(405, "Method not allowed").close()},
		{"too large for a task", "a read has no body", announced("GET", f.task, large), big},
		{"too large for health", "likewise", announced("GET", "/healthz", "100000"), big},
		{"callback too large", "the engine hears it, and its client stays parked", announced("POST", parked, "65537"), heard(413).close()},
		{"callback too large in chunks", "likewise", coded(parked, "20000\r\n"), heard(413).close()},
		{"forged callback too large", "a stranger learns nothing of our limits", announced("POST", forged, "65537"), heard(404).close()},
		{"forged callback of the allowed size", "what is forged is not read", announced("POST", forged, "65536"), heard(404).close()},
		{"exactly the limit", "it is none", post(f.signed(full), full), trip()},
		{"exactly the limit in chunks", "it is none", chunked(f.signed(full), full), trip()},
	}
}

// lengths are requests whose Content-Length two parsers could read differently. All of these tricks of framing are
// followed by a signed create, which must never be one.
func (f *forge) lengths() []attack {
	body := create(`{}`)
	n := strconv.Itoa(len(body))
	with := func(name, why, head string) attack { return f.cut(name, why, "", head, body) }
	return []attack{
		with("twice, equal", "one parser takes the first, one the last: a request hides in between", "Content-Length: "+n+"\r\nContent-Length: "+n),
		with("twice, different", "likewise", "Content-Length: "+n+"\r\nContent-Length: 0"),
		with("twice, in two cases", "likewise", "Content-Length: 0\r\nCONTENT-LENGTH: "+n),
		with("list", "likewise", "Content-Length: "+n+", "+n), with("list of different", "likewise", "Content-Length: 0, "+n),
		with("plus", "some take it, some read 0", "Content-Length: +"+n), with("minus", "a length below zero", "Content-Length: -"+n),
		with("minus zero", "likewise", "Content-Length: -0"), with("hexadecimal", "some read 0, some 16", "Content-Length: 0x"+n),
		with("blank within", "some read the first number", "Content-Length: "+n[:1]+" "+n[1:]), with("letters behind", "likewise", "Content-Length: "+n+"a"),
		with("semicolon", "likewise", "Content-Length: "+n+";0"), with("point", "no integer", "Content-Length: "+n+".0"),
		with("exponent", "no integer", "Content-Length: 1e2"), with("quoted", "no integer", `Content-Length: "`+n+`"`),
		with("empty", "no length or 0", "Content-Length:"), with("full-width digits", "digits to some", "Content-Length: ６３"),
		with("2^64 + 1", "it wraps to 1", "Content-Length: 18446744073709551617"), with("NUL behind", "C strings end there", "Content-Length: "+n+"\x00"),
		with("vertical tab", "a blank to some", "Content-Length:\x0b"+n), with("blank before the colon", "another header to some", "Content-Length : "+n),
		with("and chunked", "the classic: CL.TE", "Content-Length: "+n+"\r\nTransfer-Encoding: chunked"),
		with("0 and chunked", "likewise", "Content-Length: 0\r\nTransfer-Encoding: chunked"),
		with("behind chunked", "the classic: TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: "+n),
		with("and identity", "some take it for chunked", "Content-Length: "+n+"\r\nTransfer-Encoding: identity"),
	}
}

func (f *forge) codings() []attack {
	body := create(`{}`)
	with := func(name, why, head string) attack { return f.cut(name, why, "", head, inChunks(body)) }
	coding := func(value, why string) attack { return with(strconv.Quote(value), why, "Transfer-Encoding: "+value) }
	return []attack{
		coding("identity", "no longer a coding"), coding("gzip", "the end of the body is unknown"), coding("gzip, chunked", "not taken"),
		coding("chunked, gzip", "the end of the body is unknown"), coding("chunked, chunked", "chunked once to some"), coding("xchunked", "chunked to some"),
		coding("chunkedx", "likewise"), coding("chunked;q=1", "likewise"), coding(`"chunked"`, "likewise"), coding("chunked,", "likewise"),
		coding(",chunked", "likewise"), coding("chun ked", "likewise"), coding("", "no coding, or none that is known"), coding("cow", "unknown"),
		coding("\x0bchunked", "a blank to some"), coding("chunked\x00", "C strings end there"), coding("chunked\x01", "a control character"),
		with("twice", "one parser takes the first, one the last", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
		with("twice, one unknown", "likewise", "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow"),
		with("twice, first identity", "likewise", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"),
		with("blank before the colon", "another header to some", "Transfer-Encoding : chunked"),
		with("tab before the colon", "likewise", "Transfer-Encoding\t: chunked"),
		with("folded value", "likewise", "Transfer-Encoding:\r\n chunked"), with("hidden in a fold", "a value to some, a header to others", "X: y\r\n Transfer-Encoding: chunked"),
		with("behind a bare LF", "a value to some, a header to others", "X: y\nTransfer-Encoding: chunked"),
		with("behind a bare CR", "likewise", "X: y\rTransfer-Encoding: chunked"),
		f.cut("in HTTP/1.0", "there it has no meaning (RFC 9112, 6.1)", "HTTP/1.0", "Transfer-Encoding: chunked", inChunks(body)),
		{"upper case", "it is none: codings have no case", request("POST", f.signed(body), inChunks(body), "TRANSFER-ENCODING: CHUNKED"), trip()},
		{"chunked", "it is none", chunked(f.signed(body), body), trip()},
	}
}

func (f *forge) chunks() []attack {
	with := func(name, why, body string) attack { return f.cut(name, why, "", "Transfer-Encoding: chunked", body) }
	body := create(`{}`)
	n := strconv.FormatInt(int64(len(body)), 16)
	fine := func(name, why, coding string) attack { return attack{name, why, coded(f.signed(body), coding), trip()} }
	return []attack{
		with("size no hex", "0 to some", "g\r\n"+body+"\r\n0\r\n\r\n"), with("size empty", "0 to some", "\r\n"+body+"\r\n0\r\n\r\n"),
		with("size negative", "a length below zero", "-1\r\n"+body+"\r\n0\r\n\r\n"), with("size with plus", "some take it", "+"+n+"\r\n"+body+"\r\n0\r\n\r\n"),
		with("size with 0x", "some read 0", "0x"+n+"\r\n"+body+"\r\n0\r\n\r\n"), with("size with a blank in front", "some take it", " "+n+"\r\n"+body+"\r\n0\r\n\r\n"),
		with("two sizes", "some read the first", n+" "+n+"\r\n"+body+"\r\n0\r\n\r\n"), with("size quoted", "no hex", `"`+n+`"`+"\r\n"+body+"\r\n0\r\n\r\n"),
		with("size of 2^64 + 1", "it wraps to 1", "10000000000000001\r\n"+body+"\r\n0\r\n\r\n"),
		with("size of many digits", "it wraps", strings.Repeat("0", 100)+n+"\r\n"+body+"\r\n0\r\n\r\n"),
		with("bare LF behind the size", "the size goes on to some", n+"\n"+body+"\r\n0\r\n\r\n"),
		with("bare CR behind the size", "likewise", n+"\r"+body+"\r\n0\r\n\r\n"),
		with("bare LF in an extension", "the chunk begins there to some", n+";x\n"+body+"\r\n0\r\n\r\n"),
		with("no line end behind the chunk", "the next size is part of it to some", n+"\r\n"+body+"0\r\n\r\n"),
		with("bare LF behind the chunk", "likewise", n+"\r\n"+body+"\n0\r\n\r\n"),
		with("chunk longer than its size", "the rest is a request to some", "2\r\n"+body+"\r\n0\r\n\r\n"),
		with("forbidden trailer", "a length after the fact", n+"\r\n"+body+"\r\n0\r\nContent-Length: 5\r\n\r\n"),
		with("another forbidden trailer", "likewise", n+"\r\n"+body+"\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
		with("trailer without colon", "no trailer", n+"\r\n"+body+"\r\n0\r\ngarbage\r\n\r\n"),
		fine("extension", "it is none: to be ignored (RFC 9112, 7.1.1)", n+";x=y\r\n"+body+"\r\n0\r\n\r\n"),
		fine("upper-case size and a trailer", "it is none", "F\r\n"+body[:15]+"\r\n"+strconv.FormatInt(int64(len(body)-15), 16)+"\r\n"+body[15:]+"\r\n0\r\nX: y\r\n\r\n"),
	}
}

func (f *forge) heads() []attack {
	body := create(`{}`)
	length := "Content-Length: " + strconv.Itoa(len(body))
	with := func(name, why, head string) attack { return f.cut(name, why, "", head+"\r\n"+length, body) }
	large := func(name, why, head string) attack {
		return attack{name, why, request("POST", f.signed(body), body, head), refused(431, "Headers are larger than").close()}
	}
	line := "POST " + f.signed(body) + " HTTP/1.1\r\n"
	raw := func(name, why, send string) attack {
		return attack{name, why, send + f.inner, refused(400, "Incorrect").close()}
	}
	return []attack{
		with("bare LF", "two headers to some, one to others", "X: y\nZ: z"), with("bare CR", "likewise", "X: y\rZ: z"),
		with("folded", "likewise (RFC 9112, 5.2)", "X: y\r\n z"), with("folded by a tab", "likewise", "X: y\r\n\tz"),
		with("blank before the colon", "another header to some (RFC 9112, 5.1)", "X : y"), with("tab before the colon", "likewise", "X\t: y"),
		with("blank in a name", "no name", "X Y: z"), with("no colon", "no header", "garbage"), with("no name", "no header", ": y"),
		with("our own mark", "what we note of a request is not for others to write", ":reserved: 1000000"),
		with("bracket in a name", "no name (RFC 9110, 5.1)", "X(Y): z"), with("quote in a name", "no name", `X": z`), with("no ASCII in a name", "no name", "Хост: z"),
		with("NUL in a name", "C strings end there", "X\x00Y: z"), with("NUL in a value", "likewise", "X: y\x00z"), with("control character", "no text", "X: y\x01z"),
		with("DEL", "no text", "X: y\x7fz"), with("two hosts", "the proxy saw one, we the other", "Host: evil"),
		raw("no host", "RFC 9112, 3.2: it must be refused", line+length+"\r\n\r\n"+body),
		raw("empty host", "likewise", line+"Host:\r\n"+length+"\r\n\r\n"+body),
		raw("folded first header", "to some it belongs to the request line", line+" X: y\r\nHost: gateway\r\n"+length+"\r\n\r\n"+body),
		raw("bare LF everywhere", "some see one line", strings.ReplaceAll(line+"Host: gateway\r\n"+length+"\r\n\r\n", "\r", "")+body),
		large("a large header", "memory per connection is bounded", "X: "+strings.Repeat("x", 20_000)),
		large("many headers", "likewise", strings.TrimSuffix(strings.Repeat("X: y\r\n", 4000), "\r\n")),
		large("a large name", "likewise", strings.Repeat("x", 20_000)+": y"),
		large("a large cookie", "some page of the same domain set it", "Cookie: a="+strings.Repeat("x", 20_000)),
		{"a large path", "likewise", request("POST", "/"+strings.Repeat("x", 20_000), ""), refused(431, "Headers are larger than").close()},
		{"a large method", "likewise", request(strings.Repeat("X", 20_000), "/", ""), refused(431, "Headers are larger than").close()},
		{"Connection: Close", "it is none: who reads to the end waits for it", post(f.signed(body), body, "Connection: Close"), trip().close()},
		{"close in a list", "likewise", post(f.signed(body), body, "Connection: x, close"), trip().close()},
		{"close in a line of its own", "likewise", post(f.signed(body), body, "Connection: x", "Connection: CLOSE"), trip().close()},
		{"line ends in front", "it is none: to be skipped (RFC 9112, 2.2)", "\r\n\r\n" + f.create(body), trip()},
	}
}

func (f *forge) versions() []attack {
	body := create(`{}`)
	end := "\r\nHost: gateway\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	first := func(name, why, line string) attack {
		return attack{name, why, line + end + f.inner, refused(400, "Incorrect").close()}
	}
	version := func(v, why string) attack { return first(v, why, "POST "+f.signed(body)+" "+v) }
	raw := func(name, why, send string) attack {
		return attack{name, why, send + "\r\n\r\n", refused(400, "Incorrect").close()}
	}
	return []attack{
		version("HTTP/0.9", "it has no headers and no end"), version("HTTP/1.2", "there is none"), version("HTTP/2.0", "not by this line"),
		version("HTTP/3.0", "likewise"), version("HTTP/1.10", "likewise"), version("HTTP/1", "likewise"), version("HTTP/11", "likewise"),
		version("http/1.1", "it has a case"), version("HTTPS/1.1", "likewise"), version("HTTP/1.1x", "likewise"), version("HTTP/1,1", "likewise"),
		version("RTSP/1.0", "another protocol"), version("SIP/2.0", "likewise"), version("ICY", "likewise"), version("HTTP/１.1", "full-width"),
		version("HTTP/1.1 HTTP/1.1", "where does the path end"), first("no version", "HTTP/0.9", "POST "+f.signed(body)),
		first("two blanks", "an empty path to some", "POST  "+f.signed(body)+" HTTP/1.1"), first("tabs", "no blanks", "POST\t"+f.signed(body)+"\tHTTP/1.1"),
		first("blank in the path", "two paths to some", "POST /x "+f.signed(body)+" HTTP/1.1"), first("no path", "nothing is asked for", "POST HTTP/1.1"),
		first("blank in front", "no method", " POST "+f.signed(body)+" HTTP/1.1"), first("only a method", "nothing is asked for", "POST"),
		first("colon in the method", "no method (RFC 9110, 9.1)", "PO:ST "+f.signed(body)+" HTTP/1.1"), first("NUL in the method", "C strings end there", "PO\x00ST "+f.signed(body)+" HTTP/1.1"),
		first("NUL in the path", "C strings end there", "POST /api\x00 HTTP/1.1"), first("control character in the path", "a terminal obeys it", "POST /api\x1b[2J HTTP/1.1"),
		raw("the preface of HTTP/2", "HTTP/2 ends at the balancer", "PRI * HTTP/2.0\r\n\r\nSM"),
		raw("a TLS hello", "TLS on the plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), raw("SSH", "a scanner", "SSH-2.0-Go"),
		raw("SMTP", "a page or a server made to post to a mail server", "HELO gateway"), raw("Redis", "likewise", "*1\r\n$4\r\nPING"),
		raw("PROXY protocol", "who may say where a client comes from is configured", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"+f.create(body)),
		raw("PROXY protocol 2", "likewise", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x00\x01\x00\x02"+f.create(body)),
		raw("NULs", "a dead client", strings.Repeat("\x00", 100)), raw("JSON", "no HTTP", create(`{}`)),
	}
}

// smuggling hides a signed create in the body of something else. It must be read as a body and nothing more.
func (f *forge) smuggling() []attack {
	wrong := f.path(login, f.now, strings.Repeat("0", 40))
	forged := "/api/1/plugins/callback/" + flip(f.token, 5)
	hide := func(name, method, path string, want verdict) attack {
		return attack{name, "a body that is not read is the next request", request(method, path, f.inner), want}
	}
	return []attack{
		hide("in a refused create", "POST", wrong, refused(401, "Incorrect signature")),
		hide("in a path that is none", "POST", "/nowhere", refused(404, "Not found")),
		hide("in a method that is none", "PUT", f.signed(create(`{}`)), refused(405, "Method not allowed")),
		hide("in a GET", "GET", "/healthz", state()), hide("in the GET of a task", "GET", f.task, pending()),
		hide("in a HEAD", "HEAD", "/healthz", state()), hide("in an OPTIONS", "OPTIONS", wrong, bare(204)),
		hide("in a forged callback", "POST", forged, heard(404)), hide("in a callback by GET", "GET", "/api/1/plugins/callback/"+f.token, heard(405)),
		hide("in a callback that is no JSON", "POST", "/api/1/plugins/callback/"+f.token, heard(400)),
		{"in a chunk", "likewise", chunked(wrong, f.inner), refused(401, "Incorrect signature")},
		{"in a chunk of a GET", "likewise", request("GET", "/healthz", inChunks(f.inner), "Transfer-Encoding: chunked"), state()},
		{"in a body that is too large", "likewise", request("POST", wrong, strings.Repeat(f.inner, 2000)), refused(413, "Body is larger than").close()},
		{"behind a Connection header", "hop-by-hop headers are not ours to forget", request("POST", wrong, f.inner, "Connection: Content-Length"), refused(401, "Incorrect signature")},
		{"behind an upgrade", "there is nothing to upgrade to", request("POST", wrong, f.inner, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), refused(401, "Incorrect signature")},
		{"behind a CONNECT", "this is no tunnel", "CONNECT gateway:443 HTTP/1.1\r\nHost: gateway\r\n\r\n", refused(404, "Not found")},
	}
}

// expectations ask before they send a body. What is refused without it must not be invited.
func (f *forge) expectations() []attack {
	body := create(`{}`)
	ask := func(name, why, method, path, length string, want verdict) attack {
		return attack{name, why, request(method, path, "", "Expect: 100-continue", "Content-Length: "+length), want.uninvited().close()}
	}
	fine := func(name, why, expect string) attack {
		return attack{name, why, post(f.signed(body), body, "Expect: "+expect), trip()}
	}
	return []attack{
		ask("too large", "the client is spared its megabytes", "POST", f.signed(body), "300000", refused(413, "Body is larger than")),
		ask("no path", "likewise", "POST", "/nowhere", "300", refused(404, "Not found")),
		ask("no method", "likewise", "PUT", f.signed(body), "300", refused(405, "Method not allowed")),
		ask("callback too large", "likewise", "POST", "/api/1/plugins/callback/"+f.token, "65537", heard(413)),
		ask("forged callback", "likewise", "POST", "/api/1/plugins/callback/"+flip(f.token, 5), "65536", heard(404)),
		{"100-continue", "it is none", post(f.signed(body), body, "Expect: 100-continue"), trip().asked()},
		{"in upper case", "it is none: it has no case", post(f.signed(body), body, "Expect: 100-CONTINUE"), trip().asked()},

		{
			"in HTTP/1.0", "it is none: there it has no meaning", strings.Replace(post(f.signed(body), body, "Expect: 100-continue"), "HTTP/1.1", "HTTP/1.0", 1),
			trip().uninvited().close(),
		},
		fine("something else", "it is none: it may be ignored (RFC 9110, 10.1.1)", "200-ok"),
		f.cut("and both lengths", "the tricks of framing work behind it too", "", "Expect: 100-continue\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", inChunks(body)),
		{
			"wrongly signed", "the body is needed to know", post(f.path(login, f.now, strings.Repeat("0", 40)), body, "Expect: 100-continue"),
			refused(401, "Incorrect signature"),
		},
	}
}
