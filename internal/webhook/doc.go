// Package webhook serves the callbacks of senders that have their own form of them: it verifies a request, reads its body as JSON, finds a name
// in that, splits what holds several events, and answers the handshakes by which senders register a URL. It knows no waiter and parks nobody.
//
// # Verification
//
// A Verify is what an operator writes. Its kinds:
//
//	none                every request passes
//	hmac                a digest of the request with a secret: HMAC, or a plain digest where {secret} stands in the signed text
//	standard-webhooks   the preset of that name
//	basic               user and password (RFC 7617)
//	networks            the remote address is in one of the networks
//
// The text that an hmac signs is a template. Everything outside of braces stands for itself:
//
//	{body}              the body, byte for byte
//	{timestamp}         Unix seconds as they were sent: timestamp_header, or the item of the signature's header that begins with timestamp_prefix
//	{url}               url; the query of the request is appended where url has none
//	{form}              each field of an urlencoded body, sorted by name: its name and its text; a repeated name with each distinct text, sorted
//	{field:NAME}        the text of one field of a form
//	{header:NAME}       the value of one header
//	{secret}            the secret; the digest is a plain one then
//
// # Presets
//
// A preset is a Config that an operator could write. What stands beside preset in the file overrides it. Signatures are in a header but for LiqPay.
//
//	standard-webhooks   kind: hmac, header: webhook-signature, separator: " ", prefix: "v1,", algorithm: sha256, encoding: base64, secret_format: whsec,
//	                    signed: "{header:webhook-id}.{timestamp}.{body}", timestamp_header: webhook-timestamp
//	github              kind: hmac, header: X-Hub-Signature-256, prefix: "sha256=", algorithm: sha256, encoding: hex, signed: "{body}"
//	stripe              kind: hmac, header: Stripe-Signature, separator: ",", prefix: "v1=", algorithm: sha256, encoding: hex,
//	                    signed: "{timestamp}.{body}", timestamp_prefix: "t="
//	slack               kind: hmac, header: X-Slack-Signature, prefix: "v0=", algorithm: sha256, encoding: hex,
//	                    signed: "v0:{timestamp}:{body}", timestamp_header: X-Slack-Request-Timestamp; challenge: true
//	meta                kind: hmac, header: X-Hub-Signature-256, prefix: "sha256=", algorithm: sha256, encoding: hex, signed: "{body}"; challenge: true
//	liqpay              kind: hmac, field: signature, algorithm: sha1, encoding: base64, signed: "{secret}{field:data}{secret}"; body: base64-json:data
//	twilio              kind: hmac, header: X-Twilio-Signature, algorithm: sha1, encoding: base64, signed: "{url}{form}", body_digest: bodySHA256
//	mandrill            kind: hmac, header: X-Mandrill-Signature, algorithm: sha1, encoding: base64, signed: "{url}{form}"; body: form, events: mandrill_events, challenge: true
//
// Every preset needs secret. twilio and mandrill need url, the address of the callback as the sender was given it. meta may have verify_token.
// Every timestamp may differ from the clock by tolerance in either direction, 5 minutes by default; the presets without one have no such check.
package webhook
