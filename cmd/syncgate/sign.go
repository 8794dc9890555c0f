package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"syncgate/configs"
	"syncgate/signer"
)

const signHelp = `Signs a request body, read from FILE or the standard input, and prints the path to send it to with POST; with --url the
whole URL, with --curl a command that sends it. With --headers the signature is not in the path: the header lines that carry it follow.
The body must arrive byte for byte as it was signed.

  echo -n '{"ops":[{"conv_id":1234,"type":"create","obj":"task","data":{"param":1}}]}' |
    syncgate sign --login 12345 --secret-file secret.txt --url https://sync.example.com --curl
`

func sign(p *program, fs *flag.FlagSet, args []string) error {
	login := fs.String("login", "", "`login` of the credential")
	secretFile := fs.String("secret-file", "", "`file` with the secret; its last newline does not count")
	base := fs.String("url", "", "`URL` of the gateway, to print a whole URL")
	at := fs.String("time", "", "Unix `seconds` to sign with; now if empty")
	curl := fs.Bool("curl", false, "print a curl command (without --url for "+defaultURL+")")
	inHeaders := fs.Bool("headers", false, "sign in headers, for requests that share one URL")
	if err := parseFlags(fs, args, 1); err != nil {
		return err
	}
	if err := checkBase(*base); err != nil {
		return err
	}
	seconds := cmp.Or(*at, string(signer.AppendTime(nil, time.Now())))
	if signer.CheckTime([]byte(seconds), time.Now(), math.MaxInt64) != nil {
		return usageError("--time: must be Unix seconds, digits with an optional fraction, such as 1700000000 or 1700000000.5")
	}
	secret, err := signingSecret(*login, *secretFile)
	if err != nil {
		return err
	}
	body, err := p.body(fs.Arg(0))
	if err != nil {
		return err
	}
	if *curl {
		*base = cmp.Or(*base, defaultURL)
	}
	line := strings.TrimRight(*base, "/") + signedPath(*login, seconds, secret, body)
	var headers []string
	if *inHeaders {
		line, headers = strings.TrimRight(*base, "/")+createPath, signedHeaders(*login, seconds, secret, body)
	}
	if *curl {
		line, headers = curlCommand(line, body, headers...), nil
	}
	fmt.Fprintln(p.out, strings.Join(append([]string{line}, headers...), "\n"))
	return nil
}

// checkBase wants a URL that the path can be put behind, or none.
func checkBase(base string) error {
	u, err := url.Parse(base)
	switch {
	case base == "":
		return nil
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.ContainsAny(base, " \t\r\n"):
		return usageError("--url: must be the gateway's URL with http:// or https://, such as https://sync.example.com")
	case u.User != nil || strings.ContainsAny(base, "?#"):
		return usageError("--url: must be a URL without user, query and fragment, such as https://sync.example.com")
	}
	return nil
}

// defaultURL is where a gateway listens whose configuration does not say where.
const defaultURL = "http://127.0.0.1:8080"

func signingSecret(login, file string) (string, error) {
	if login == "" || file == "" {
		return "", usageError("--login and --secret-file are needed; syncgate sign --help explains")
	}
	secret, err := configs.ReadSecret(file)
	if err != nil {
		return "", fmt.Errorf("read the secret: %s: %w", file, err)
	}
	credential := signer.Credential{Login: login, Secret: signer.Secret(secret)}
	if _, err := signer.NewKeyring([]signer.Credential{credential}); err != nil {
		return "", usageError(strings.ReplaceAll(err.Error(), "auth.credentials[0].", "--"))
	}
	return secret, nil
}

// body reads the file, or the standard input for none or -.
func (p *program) body(file string) ([]byte, error) {
	if file != "" && file != "-" {
		return os.ReadFile(file) //nolint:gosec // the user names the file
	}
	body, err := io.ReadAll(p.in)
	if err != nil {
		return nil, fmt.Errorf("read the standard input: %w", err)
	}
	return body, nil
}

// createPath is that of create requests to API version 1, before the signature if it is in the path.
const createPath = "/api/1/json"

// signedPath is the path of a create request.
func signedPath(login, seconds, secret string, body []byte) string {
	path := []byte(createPath + "/" + login + "/" + seconds + "/")
	return string(signer.AppendSignature(path, []byte(seconds), []byte(secret), body))
}

// signedHeaders are the header lines of a create request whose path has no signature.
func signedHeaders(login, seconds, secret string, body []byte) []string {
	signature := signer.AppendSignature(nil, []byte(seconds), []byte(secret), body)
	return []string{"X-Syncgate-Login: " + login, "X-Syncgate-Time: " + seconds, "X-Syncgate-Signature: " + string(signature)}
}

// longestArgument is below what Linux allows for one argument of a command.
const longestArgument = 100_000

// curlCommand is a command for a POSIX shell. A body that is not text, or too long for an argument, goes through a pipe, written
// by the shell's own printf.
func curlCommand(url string, body []byte, headers ...string) string {
	curl := "curl -sS"
	for _, line := range append([]string{"Content-Type: application/json"}, headers...) {
		curl = strings.Join([]string{curl, "-H", quote(line)}, " ")
	}
	if !plain(body) || len(body) > longestArgument {
		return "printf " + quote(octal(body)) + " | " + curl + " --data-binary @- " + quote(url)
	}
	// Not --data-binary: it reads a file where the text begins with @.
	return curl + " --data-raw " + quote(string(body)) + " " + quote(url)
}

// plain reports whether a terminal takes the text as it is when it is pasted.
func plain(body []byte) bool {
	return utf8.Valid(body) && !bytes.ContainsFunc(body, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
}

// octal writes a format for printf that gives the bytes of body.
func octal(body []byte) string {
	var out strings.Builder
	for _, c := range body {
		switch {
		case c == '\\' || c == '%':
			out.WriteByte(c)
			out.WriteByte(c)
		case c == '\n' || c >= ' ' && c <= '~' && c != '-': // which first would begin an option
			out.WriteByte(c)
		default:
			fmt.Fprintf(&out, `\%03o`, c)
		}
	}
	return out.String()
}

// quote makes one word of a POSIX shell of s.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
