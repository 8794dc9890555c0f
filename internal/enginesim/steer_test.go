package enginesim

import (
	"flag"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSteered(t *testing.T) {
	base := Default().Behaviour
	got, err := base.steered([]byte(`{"ack":"hang","ack_delay_ms":1,"callback":"before","delay_ms":[2,3],"duplicates":4,"gap_ms":5,"method":"PUT",
		"format":"xml","content_type":"x/y","body":{"a":6},"to":"1.1.1.1:7","send_sys":true,"retries":8,"retry_delay_ms":9.5}`))
	want := Behaviour{
		Ack: AckHang, AckDelay: time.Millisecond, Callback: CallbackBefore, Delay: Range{2 * time.Millisecond, 3 * time.Millisecond},
		Duplicates: 4, Gap: 5 * time.Millisecond, Method: "PUT", Format: FormatXML, ContentType: "x/y", Body: `{"a":6}`, To: "1.1.1.1:7",
		SendSys: true, Retries: 8, RetryDelay: 9500 * time.Microsecond,
	}
	if err != nil || *got != want {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	if got, err := base.steered([]byte(`{}`)); err != nil || *got != base {
		t.Errorf("nothing asked: %v, %+v", err, got)
	}
	for _, bad := range []string{`1`, `[]`, `"hang"`, `{"x":1}`, `{"ack":1}`, `{"duplicates":1e9}`, `{"delay_ms":-1}`, `{"gap_ms":"5"}`, `{"to":"x"}`} {
		if _, err := base.steered([]byte(bad)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

// Every part of a Behaviour can be chosen by a task and by a flag, and the flag's usage names the member.
func TestEveryPartIsSteered(t *testing.T) {
	members := make(map[string]string) // by field
	for f := range reflect.TypeFor[steering]().Fields() {
		members[f.Name] = f.Tag.Get("json")
	}
	var b Behaviour
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	b.flags(fs)
	usages := make(map[string]string) // by member
	fs.VisitAll(func(f *flag.Flag) {
		_, member, _ := strings.Cut(f.Usage, "(__sim: ")
		member, _, _ = strings.Cut(strings.TrimSuffix(member, ")"), ",")
		usages[member] = f.Name
	})
	for f := range reflect.TypeFor[Behaviour]().Fields() {
		member := members[f.Name]
		name := strings.ReplaceAll(strings.TrimSuffix(member, "_ms"), "_", "-")
		if member == "" || usages[member] != name {
			t.Errorf("%s: member %q, flag %q", f.Name, member, usages[member])
		}
	}
	if len(usages) != len(members) {
		t.Errorf("%d flags and %d members", len(usages), len(members))
	}
}
