package main

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version that the linker sets: -ldflags "-X main.release=v1.2.3".
var release string // the linker can set nothing else

func version(p *program, fs *flag.FlagSet, args []string) error {
	if err := parseFlags(fs, args, 0); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "syncgate %s %s %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// versionText is the release, or else what go install knows of the module, or else devel.
func versionText() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
