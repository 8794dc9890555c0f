package main

import (
	"fmt"
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
	p.Title.Padding, p.Legend.Top, p.Legend.Left = vg.Points(8), true, false
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
		curve.Color, curve.Width = plotutil.Color(i), vg.Points(1.5)
		dots.Color, dots.Shape = plotutil.Color(i), plotutil.Shape(i)
		p.Add(curve, dots)
		p.Legend.Add(l.name, curve, dots)
	}
	const headroom = 1.35 // for the legend
	p.X.Min, p.Y.Min, p.Y.Max = 0, 0, highest*headroom
	const width, height = 18 * vg.Centimeter, 11 * vg.Centimeter
	if err := p.Save(width, height, filepath.Join(dir, c.file)); err != nil {
		return fmt.Errorf("draw %s: %w", c.file, err)
	}
	return nil
}

// ticks are the library's own, with thousands apart.
func ticks(least, most float64) []plot.Tick {
	all := plot.DefaultTicks{}.Ticks(least, most)
	for i := range all {
		if !all[i].IsMinor() {
			all[i].Label = figure(all[i].Value, 0)
		}
	}
	return all
}
