package configs_test

import (
	"reflect"
	"strings"
	"testing"

	"syncgate/configs"
	"syncgate/signer"
)

// The headers for the engine are secrets: what is loaded has them, and what is shown has not.
func TestEngineHeaders(t *testing.T) {
	const text = "engine:\n  ack: any\n  headers:\n    Authorization: Bearer ${TOKEN}\n    x-api-key: 0123\n"
	c := mustLoad(t, text, "TOKEN="+secretText)
	want := map[string]signer.Secret{"Authorization": "Bearer " + secretText, "x-api-key": "0123"}
	if got := c.Gateway().Engine; got.Ack != "any" || !reflect.DeepEqual(got.Headers, want) {
		t.Errorf("%q", got.Ack)
	}
	out := dump(t, c)
	if strings.Contains(out, secretText) || strings.Contains(out, "0123") || !strings.Contains(out, "Authorization: '***'") {
		t.Errorf("%s", out)
	}
	if out := dump(t, mustLoad(t, "engine: {headers: {}}")); !strings.Contains(out, "headers: {}") {
		t.Errorf("%s", out)
	}
	if keys := configs.Diff(c, mustLoad(t, strings.Replace(text, "0123", "4567", 1), "TOKEN="+secretText)); len(keys) != 1 || keys[0] != "engine.headers" {
		t.Errorf("changed are %v", keys)
	}
	_, warnings, err := load(t, "log: {level: info}", "SYNCGATE_ENGINE_HEADERS=Authorization: "+secretText)
	if err != nil || len(warnings) == 0 || !strings.Contains(string(warnings[0]), "engine.headers can only be set in the file") || strings.Contains(string(warnings[0]), secretText) {
		t.Errorf("%v %v", warnings, err)
	}
}
