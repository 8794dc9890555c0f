package metrici

import (
	"bytes"
	"encoding/xml"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
)

const typeJSON = "application/json"

// wordOf is how Metrici calls how far an op has come. An op of which nothing was reported is created.
func wordOf(s correlator.Status) string {
	if s == correlator.Open {
		return "create"
	}
	return s.String()
}

// dataOf gives the data of an answer.
func dataOf(s dialect.OpState) []byte {
	if len(s.Data) == 0 {
		return []byte("{}")
	}
	return s.Data
}

// appendReported appends the answer to a report: the message without its type, with the engine's names.
func (e *EngineConfig) appendReported(dst []byte, token string, s dialect.OpState) []byte {
	status, data := wordOf(s.Status), dataOf(s)
	dst = append(dst, `{"`+e.TokenAttribute+`":"`+token+`","`+e.StatusAttribute+`":"`+status+`","`+e.DataAttribute+`":`...)
	dst = append(dst, data...)
	if e.AttributeReference != "" {
		dst = append(dst, `,"`+e.AttributeReference+`":{"status":"`+status+`","token":"`+token+`","data":`...)
		dst = append(append(dst, data...), '}')
	}
	return append(dst, '}')
}

// appendState appends the answer to a question [Metrici's full response object].
func appendState(dst []byte, token string, s dialect.OpState) []byte {
	dst = append(dst, `{"token":"`+token+`","status":"`+wordOf(s.Status)+`","data":`...)
	return append(append(dst, dataOf(s)...), '}')
}

// notFound is the answer about a token of which nothing is known.
const notFound = `{"callbackStatus":"notFound"}`

// errorBody is what is said of a request that does nothing. The number is that of the HTTP status that it would have elsewhere.
func errorBody(number int, text string) []byte {
	body := append([]byte(nil), `{"errorNumber":`+strconv.Itoa(number)+`,"message":`...)
	body, _ = jsontext.AppendQuote(body, text) // its error is about UTF-8
	return append(body, '}')
}

// write writes an answer of a call form.
func write(dst *fasthttp.Response, form uint8, body []byte) {
	if form != formService {
		dst.Header.SetContentType(typeJSON)
		dst.SetBodyRaw(body)
		return
	}
	dst.Header.SetContentType("application/xml; charset=utf-8")
	var b bytes.Buffer
	b.WriteString(xml.Header + "<ExecuteScriptResponse><return>")
	// In XML two characters cannot stand that JSON's texts may have: there they are escaped, which says the same.
	body = bytes.ReplaceAll(body, []byte("\uFFFE"), []byte(`\ufffe`))
	body = bytes.ReplaceAll(body, []byte("\uFFFF"), []byte(`\uffff`))
	_ = xml.EscapeText(&b, body) // a Buffer takes everything
	b.WriteString("</return></ExecuteScriptResponse>\n")
	dst.SetBodyRaw(b.Bytes())
}
