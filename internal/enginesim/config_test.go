package enginesim_test

import (
	"flag"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"syncgate/internal/enginesim"
)

func TestFlags(t *testing.T) {
	cfg := enginesim.Default()
	fs := flag.NewFlagSet("engine", flag.ContinueOnError)
	cfg.Flags(fs)
	if err := fs.Parse(nil); err != nil || !reflect.DeepEqual(cfg, enginesim.Default()) {
		t.Errorf("without arguments: %v, %+v", err, cfg)
	}
	err := fs.Parse(strings.Fields(`-listen 127.0.0.1:8 -credential a:b:c -credential d:e -rewrite 1.1.1.1:1=2.2.2.2:2 -rewrite *=3.3.3.3:3
		-steer=false -workers 1 -pending 2 -connections 3 -max-body 4 -idle 5s -callback-timeout 6s -record 7
		-ack hang -ack-delay 8s -callback before -delay 9ms-10ms -duplicates 11 -gap 12s -method PUT -format xml -content-type x/y
		-body {{n}} -to 4.4.4.4:4 -send-sys -retries 13 -retry-delay 14s`))
	want := enginesim.Config{
		Listen:      "127.0.0.1:8",
		Credentials: map[string]string{"a": "b:c", "d": "e"},
		Rewrite:     map[string]string{"1.1.1.1:1": "2.2.2.2:2", "*": "3.3.3.3:3"},
		Workers:     1, Pending: 2, Connections: 3, MaxBody: 4, Idle: 5 * time.Second, CallbackTimeout: 6 * time.Second, Record: 7,
		Behaviour: enginesim.Behaviour{
			Ack: enginesim.AckHang, AckDelay: 8 * time.Second,
			Callback: enginesim.CallbackBefore, Delay: enginesim.Range{Min: 9 * time.Millisecond, Max: 10 * time.Millisecond},
			Duplicates: 11, Gap: 12 * time.Second, Method: "PUT", Format: enginesim.FormatXML, ContentType: "x/y",
			Body: "{{n}}", To: "4.4.4.4:4", SendSys: true, Retries: 13, RetryDelay: 14 * time.Second,
		},
	}
	if err != nil || !reflect.DeepEqual(cfg, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, cfg, want)
	}
	if err := cfg.Validate(); err != nil {
		t.Errorf("validate: %v", err)
	}
}

func TestBadFlags(t *testing.T) {
	for _, arg := range []string{
		"-credential=a", "-credential=:b", "-credential=a:", "-rewrite=a", "-delay=1", "-delay=1s-x", "-ca-file=/nonexistent", "-ca-file=config_test.go",
	} {
		cfg := enginesim.Default()
		fs := flag.NewFlagSet("engine", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		cfg.Flags(fs)
		if err := fs.Parse([]string{arg}); err == nil {
			t.Errorf("%s is accepted", arg)
		}
	}
}

// All problems are listed at once, each with its flag.
func TestValidate(t *testing.T) {
	var nothing enginesim.Config
	nothing.Behaviour = enginesim.Behaviour{
		ContentType: "a\r\nb", Delay: enginesim.Range{Min: 2, Max: 1}, AckDelay: -1, Gap: -1, RetryDelay: 2 * time.Hour,
		Duplicates: -1, Retries: 1001, Body: " ", To: "nowhere",
	}
	nothing.Rewrite = map[string]string{"*": "nowhere"}
	nothing.Record = -1
	err := nothing.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{
		"listen", "rewrite", "workers", "pending", "connections", "max-body", "idle", "callback-timeout", "record",
		"ack", "ack-delay", "callback", "delay", "duplicates", "gap", "method", "format", "content-type", "body", "to", "retries", "retry-delay",
	} {
		if !strings.Contains("\n"+err.Error(), "\n"+name+": ") {
			t.Errorf("%s is not among\n%v", name, err)
		}
	}
	if _, err := enginesim.Start(nothing); err == nil {
		t.Error("started")
	}
}

func TestStartOnTakenAddress(t *testing.T) {
	e := start(t, nil)
	cfg := enginesim.Default()
	cfg.Listen = e.Addr()
	if _, err := enginesim.Start(cfg); err == nil || !strings.Contains(err.Error(), "start engine: ") {
		t.Errorf("got %v", err)
	}
}
