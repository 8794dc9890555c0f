//go:build unix

package dashboards_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// picture is what draw.js draws: a dashboard, and what Prometheus said.
type picture struct {
	Dashboard json.RawMessage   `json:"dashboard"`
	Variables map[string]string `json:"variables"`
	Lines     heard             `json:"lines"`
	Marks     []mark            `json:"marks"`
	From      int64             `json:"from"` // Unix seconds
	To        int64             `json:"to"`
	Step      int               `json:"step"` // seconds
}

// drawDashboard has Chromium draw a dashboard with uPlot, and writes dashboard-NAME.png into a directory.
func drawDashboard(t *testing.T, images, file string, p picture) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("uplot", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	said, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("draw.js")
	if err != nil {
		t.Fatal(err)
	}
	page := fmt.Sprintf(`<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="node_modules/uplot/dist/uPlot.min.css">
<script src="node_modules/uplot/dist/uPlot.iife.min.js"></script><body><script>const picture = %s;
%s</script>`, strings.ReplaceAll(string(said), "</", `<\/`), script)
	if err := os.WriteFile(filepath.Join(dir, "page.html"), []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	chromium := []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--virtual-time-budget=5000",
		"--user-data-dir=" + filepath.Join(dir, "profile"),
	}
	at := "file://" + filepath.Join(dir, "page.html")
	dom := run(t, dir, "chromium", append(chromium, "--window-size=1240,1000", "--dump-dom", at)...)
	height := regexp.MustCompile(`data-height="(\d+)"`).FindStringSubmatch(dom)
	if height == nil {
		t.Fatalf("draw.js has not come to its end: %s", dom)
	}
	target, err := filepath.Abs(filepath.Join(images, "dashboard-"+strings.TrimSuffix(filepath.Base(file), ".json")+".png"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, dir, "chromium", append(chromium, "--window-size=1240,"+height[1], "--screenshot="+target, at)...)
	shrink(t, target)
	if info, err := os.Stat(target); err != nil || time.Since(info.ModTime()) > time.Minute {
		t.Errorf("Chromium has not written %s: %v", target, err)
	}
}

// run gives what a program prints.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...) //nolint:gosec // the callers name npm and Chromium
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return string(out)
}

// shrink writes a PNG again with 192 colours at most, which is enough for lines and words.
func shrink(t *testing.T, name string) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := png.Decode(file)
	_ = file.Close()
	if err != nil {
		t.Fatal(err)
	}
	small := image.NewPaletted(whole.Bounds(), frequent(whole, 192))
	draw.Draw(small, small.Bounds(), whole, whole.Bounds().Min, draw.Src)
	if file, err = os.Create(name); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join((&png.Encoder{CompressionLevel: png.BestCompression}).Encode(file, small), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// frequent gives the colours that an image has most. Of those that are nearly the same it gives one, and bright ones count more than shades of grey, so that each
// line keeps its own.
func frequent(of image.Image, most int) (colours color.Palette) {
	count := make(map[color.Color]int)
	for y := of.Bounds().Min.Y; y < of.Bounds().Max.Y; y++ {
		for x := of.Bounds().Min.X; x < of.Bounds().Max.X; x++ {
			c := of.At(x, y)
			r, g, b, _ := c.RGBA()
			count[c] += 1 + int(max(r, g, b)-min(r, g, b))>>11
		}
	}
	near := make(map[[3]uint32]bool)
	for _, c := range slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return count[b] - count[a] }) {
		r, g, b, _ := c.RGBA()
		if at := [3]uint32{r >> 11, g >> 11, b >> 11}; !near[at] && len(colours) < most {
			near[at] = true
			colours = append(colours, c)
		}
	}
	return colours
}
