package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// chart is lines over two axes that begin at 0.
type chart struct {
	file  string // its name; .svg
	title string
	x, y  string // what the axes are
	lines []line
}

type line struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

// draw writes the chart into dir.
func (c chart) draw(dir string) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, c.y
	for _, f := range []*font.Font{
		&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font,
		&p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font,
	} {
		f.Variant = "Sans"
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(ticks), plot.TickerFunc(ticks)
	p.Title.Padding, p.X.Padding, p.Y.Padding = vg.Points(8), 0, 0
	p.Legend.Top, p.Legend.Padding = true, vg.Points(2)
	p.Add(plotter.NewGrid())
	highest := 0.0
	for i, l := range c.lines {
		xys := make(plotter.XYs, len(l.points))
		for k, at := range l.points {
			xys[k] = plotter.XY{X: at.x, Y: at.y}
			highest = max(highest, at.y)
		}
		curve, dots, err := plotter.NewLinePoints(xys)
		if err != nil {
			return fmt.Errorf("draw %s: %w", c.file, err)
		}
		color := plotutil.DarkColors[i%len(plotutil.DarkColors)]
		curve.Color, curve.Width = color, vg.Points(1.5)
		dots.Color, dots.Shape = color, plotutil.Shape(i)
		p.Add(curve, dots)
		p.Legend.Add(l.name, curve, dots)
	}
	const headroom = 1.35 // for the legend
	p.X.Min, p.Y.Min, p.Y.Max = 0, 0, highest*headroom
	const width, height = 18 * vg.Centimeter, 11 * vg.Centimeter
	writer, err := p.WriterTo(width, height, "svg")
	var svg bytes.Buffer
	if err == nil {
		_, err = writer.WriteTo(&svg)
	}
	if err == nil { // with fonts for those who do not have that one
		text := bytes.ReplaceAll(svg.Bytes(), []byte("Liberation Sans"), []byte("Liberation Sans,Arial,Helvetica,sans-serif"))
		err = os.WriteFile(filepath.Join(dir, c.file), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("draw %s: %w", c.file, err)
	}
	return nil
}

// ticks are at some five round numbers, thousands apart.
func ticks(_, most float64) (all []plot.Tick) {
	const about = 5
	step := math.Pow10(int(math.Floor(math.Log10(most / about))))
	for _, factor := range []float64{1, 2, 5, 10} {
		if most/(step*factor) <= about {
			step *= factor
			break
		}
	}
	for v := 0.0; v <= most; v += step {
		all = append(all, plot.Tick{Value: v, Label: figure(v, max(0, -int(math.Floor(math.Log10(step)))))})
	}
	return all
}
