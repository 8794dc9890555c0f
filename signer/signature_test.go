package signer_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"syncgate/signer"
)

type vector struct{ Name, Secret, Time, Body, Signature string }

func vectors(t testing.TB) (all []vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			got := string(signer.AppendSignature([]byte("> "), []byte(v.Time), []byte(v.Secret), []byte(v.Body)))
			if got != "> "+v.Signature {
				t.Errorf("got %q, want %q after the prefix", got, v.Signature)
			}
			keys := keyring(t, signer.Credential{Login: "7", Secret: signer.Secret(v.Secret)})
			for _, signature := range []string{v.Signature, strings.ToUpper(v.Signature)} {
				if _, ok := keys.Verify([]byte("7"), []byte(v.Time), []byte(signature), []byte(v.Body)); !ok {
					t.Errorf("%s is refused", signature)
				}
			}
		})
	}
}

func TestCheckTime(t *testing.T) {
	now := time.Unix(1700000000, 500_000_000)
	f := func(raw string, window time.Duration, want error) {
		t.Helper()
		if err := signer.CheckTime([]byte(raw), now, window); !errors.Is(err, want) {
			t.Errorf("CheckTime(%q, %v) = %v, want %v", raw, window, err, want)
		}
	}
	const window = 300 * time.Second
	good := []string{
		"1700000000", "1700000000.7359896", "1700000300.5", "1699999700.5", "0001700000000",
		"1700000000.123456789012345678901234567890", "1700000300.5000000009",
	}
	for _, raw := range good {
		f(raw, window, nil)
	}
	outside := []string{
		"1700000301", "1700000300.500000001", "1699999700.499999999", "1699999700", "0", "59", "9999999999999", strings.Repeat("9", 5000),
		"18446744075409551616", // 2^64 more
	}
	malformed := []string{
		"", ".", "1700000000.", ".5", "+1700000000", "-1700000000", " 1700000000", "1700000000 ", "1700000000.5.5", "17e8",
		"0x6553f100", "1700000000.-5", "1_700_000_000", "１７００００００００", "1700000000\x00",
	}
	for _, raw := range append(outside, malformed...) {
		f(raw, window, signer.ErrTime)
		f(raw, 0, nil)
	}
	f("1700000000", 500*time.Millisecond, nil)
	f("1700000000", 499*time.Millisecond, signer.ErrTime)
}

func FuzzCheckTime(f *testing.F) {
	for _, raw := range []string{"1700000000", "1700000000.5", "1700000301", "", "-1", "99999999999999999999"} {
		f.Add(raw)
	}
	now := time.Unix(1700000000, 0)
	f.Fuzz(func(t *testing.T, raw string) {
		whole, fraction, dotted := strings.Cut(raw, ".")
		isDigits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
		want := isDigits(whole) && (!dotted || isDigits(fraction))
		if want {
			// A window of 100 s around a round number can be told from the digits alone.
			whole = strings.TrimLeft(whole, "0")
			fraction = strings.TrimRight(fraction[:min(9, len(fraction))], "0")
			want = len(whole) == 10 && (whole >= "1699999900" && whole < "1700000100" || whole == "1700000100" && fraction == "")
		}
		if got := signer.CheckTime([]byte(raw), now, 100*time.Second) == nil; got != want {
			t.Errorf("%q: accepted %v, want %v", raw, got, want)
		}
	})
}

func TestAppendTime(t *testing.T) {
	if got := string(signer.AppendTime(nil, time.Unix(1700000000, 999_999_999))); got != "1700000000" {
		t.Errorf("got %s", got)
	}
}
