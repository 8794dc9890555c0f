package setting_test

import (
	"testing"

	"syncgate/internal/setting"
)

func TestByteSize(t *testing.T) {
	f := func(text string, want setting.ByteSize, written string) {
		t.Helper()
		var b setting.ByteSize
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want || b.String() != written {
			t.Errorf("%q: %d %q %v; want %d %q", text, b, b, err, want, written)
		}
	}
	f("0", 0, "0")
	f("512", 512, "512")
	f("1024", 1024, "1KiB")
	f("64KiB", 64<<10, "64KiB")
	f("1536KiB", 1536<<10, "1536KiB")
	f("1MiB", 1<<20, "1MiB")
	f("2048MiB", 2<<30, "2GiB")
	f("8589934591GiB", 8589934591<<30, "8589934591GiB")
	for _, bad := range []string{"", "KiB", "1MB", "1 MiB", "1.5MiB", "-1", "-1KiB", "1mib", "8589934592GiB", "9223372036854775808", "0x10"} {
		b := setting.ByteSize(7)
		if err := b.UnmarshalText([]byte(bad)); err == nil || b != 7 {
			t.Errorf("%q: %d, %v; want an error and nothing changed", bad, b, err)
		}
	}
}
