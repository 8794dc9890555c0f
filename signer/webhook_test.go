package signer_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"syncgate/signer"
)

// TestWebhookVector is the example of the specification (spec/standard-webhooks.md, "Signature scheme", and its reference libraries' tests).
func TestWebhookVector(t *testing.T) {
	key, err := signer.ParseWebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	got := signer.AppendWebhookSignature(nil, []byte("msg_p5jXN8AQM9LWM0D4loKWxJek"), []byte("1614265330"), []byte(`{"test": 2432232314}`), key)
	if string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestWebhookSecrets(t *testing.T) {
	for _, secret := range []string{"", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_QUJD", "whsec_not base64 at all", "whsec_" + strings.Repeat("QUJD", 30)} {
		if _, err := signer.ParseWebhookSecret(secret); err == nil || secret != "" && strings.Contains(err.Error(), strings.TrimPrefix(secret, "whsec_")+"x") {
			t.Errorf("%q: %v", secret, err)
		}
	}
	if _, err := signer.ParseWebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwQQ"); err != nil {
		t.Errorf("base64 without its padding: %v", err)
	}
}

// TestRotatedSecrets has the specification's reference library verify with each of two live secrets, and refuse with a third.
func TestRotatedSecrets(t *testing.T) {
	id, stamp, body := "msg_1", strconv.FormatInt(time.Now().Unix(), 10), []byte(`{"a":1}`)
	var keys [][]byte
	live := []signer.Secret{signer.NewWebhookSecret(), signer.NewWebhookSecret()}
	for _, secret := range live {
		key, err := signer.ParseWebhookSecret(string(secret))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	head := http.Header{}
	head.Set("webhook-id", id)
	head.Set("webhook-timestamp", stamp)
	head.Set("webhook-signature", string(signer.AppendWebhookSignatures(nil, []byte(id), []byte(stamp), body, keys)))
	for i, secret := range append(live, signer.NewWebhookSecret()) {
		receiver, err := standardwebhooks.NewWebhook(string(secret))
		if err != nil {
			t.Fatal(err)
		}
		if err := receiver.Verify(body, head); (err == nil) != (i < len(live)) {
			t.Errorf("secret %d: %v", i, err)
		}
	}
	if got := signer.AppendWebhookSignatures([]byte("x"), nil, nil, nil, nil); string(got) != "x" {
		t.Errorf("without a key: %q", got)
	}
}
