package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestTripShowsEachCallback: what came of each op has a line, in the order of the times, and there are never more lines than can be read.
func TestTripShowsEachCallback(t *testing.T) {
	a := newFakeAdmin(t)
	accepted := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(ms int) string {
		return accepted.Add(time.Duration(ms) * time.Millisecond).Format(time.RFC3339Nano)
	}
	shows := func(trip, ops string, lines ...string) {
		t.Helper()
		a.says("GET /api/trips/x", 200, jsonMedia, `{"node":"n","remembered":10,"trips":[{"trip":"x7Kd90aB","request_id":"r","login":"web","accepted":"`+at(0)+`","forwarded":"`+at(1)+`",`+trip+`,"ops":[`+ops+`]}]}`)
		status, out, errs := runs("trip", "x", "--admin", a.address)
		_, times, _ := strings.Cut(out, "  forwarded        03:04:05.001  +1ms\n")
		if want := strings.Join(lines, "\n") + "\n"; status != exitOK || times != want {
			t.Errorf("status %d\n%s\nwant\n%s\nerrors %s", status, times, want, errs)
		}
	}
	over := func(outcome string, ops, callbacks int) string {
		return fmt.Sprintf(`"state":"over","outcome":%q,"status":200,"replied":%q,"op_count":%d,"callbacks":%d,"first_callback":%q,"last_callback":%q`, outcome, at(900), ops, callbacks, at(20), at(800))
	}
	op := func(n, ms int) string {
		if ms < 0 {
			return fmt.Sprintf(`{"op":%d,"state":"final"}`, n)
		}
		return fmt.Sprintf(`{"op":%d,"state":"final","callback":%q}`, n, at(ms))
	}
	const replied, waits = "  replied          03:04:05.900  +900ms 200 ", `"state":"waiting","op_count":3,"callbacks":2,"first_callback":`
	// One overtakes the engine's own answer, and one has none: an operator has cancelled the op.
	shows(over("cancelled", 3, 2)+`,"engine_answered":"`+at(30)+`","engine_status":200`, op(0, 800)+","+op(1, -1)+","+op(2, 20),
		"  callback         03:04:05.020  +20ms op 2", "  engine answered  03:04:05.030  +30ms with 200", "  callback         03:04:05.800  +800ms op 0", replied+"cancelled")
	shows(waits+`"`+at(20)+`","last_callback":"`+at(40)+`"`, op(0, 40)+`,{"op":1,"state":"open"},`+op(2, 20),
		"  callback         03:04:05.020  +20ms op 2", "  callback         03:04:05.040  +40ms op 0", "  now              waiting")
	// Of more ops than are shown the first and the last are known.
	shows(over("complete", 20, 20), op(0, 60)+","+op(1, 40),
		"  first callback   03:04:05.020  +20ms", "  callback         03:04:05.040  +40ms op 1", "  callback         03:04:05.060  +60ms op 0", "  last callback    03:04:05.800  +800ms 20 of 20", replied+"complete")
	shows(over("complete", 20, 20), op(0, 20), "  callback         03:04:05.020  +20ms op 0", "  last callback    03:04:05.800  +800ms 20 of 20", replied+"complete")
	// A gateway of before says no more than these two.
	shows(over("complete", 3, 3), op(0, -1), "  first callback   03:04:05.020  +20ms", "  last callback    03:04:05.800  +800ms 3 of 3", replied+"complete")
	shows(over("timeout", 3, 1), op(0, -1), "  callback         03:04:05.800  +800ms 1 of 3", replied+"timeout")
	shows(over("complete", 1, 1), op(0, 800), "  callback         03:04:05.800  +800ms 1 of 1", replied+"complete")
	// Reports.
	shows(over("complete", 1, 1)+`,"reports":1,"first_report":"`+at(15)+`","last_report":"`+at(15)+`"`, op(0, 800),
		"  report           03:04:05.015  +15ms", "  callback         03:04:05.800  +800ms 1 of 1", replied+"complete")
	shows(over("complete", 1, 1)+`,"reports":7,"first_report":"`+at(15)+`","last_report":"`+at(700)+`"`, op(0, 800),
		"  first report     03:04:05.015  +15ms", "  last report      03:04:05.700  +700ms of 7", "  callback         03:04:05.800  +800ms 1 of 1", replied+"complete")
	// What came late.
	late, lines := make([]string, 25), []string{replied + "timeout"}
	for i := range late {
		late[i] = fmt.Sprintf(`{"op":%d,"at":%q,"kept":%v}`, i, at(1000), i == 1)
		if i < 20 {
			lines = append(lines, fmt.Sprintf("  late callback    03:04:06.000  +1s op %d %s", i, map[bool]string{true: "kept", false: "not kept"}[i == 1]))
		}
	}
	none := strings.Replace(over("timeout", 25, 0), `,"first_callback":"`+at(20)+`","last_callback":"`+at(800)+`"`, "", 1)
	shows(none+`,"late_callbacks":[`+strings.Join(late, ",")+`]`, "", append(lines, "  and 5 more late callbacks")...)
	shows(strings.Replace(none, "25", "1", 1)+`,"late_callbacks":[`+late[0]+`]`, "", replied+"timeout", "  late callback    03:04:06.000  +1s not kept")
	shows(strings.Replace(none, "timeout", "handed_over", 1)+`,"late_callbacks":[`+late[1]+`]`, "", replied+"handed_over", "  callback         03:04:06.000  +1s op 1 kept")
}
