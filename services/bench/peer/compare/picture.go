package main

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The picture has a strip for each target, in two columns.
const (
	pictureWidth  = 24 * vg.Centimeter
	pictureHeight = 18 * vg.Centimeter
	columns       = 2
	headHeight    = 2.2 * vg.Centimeter
	titleHeight   = 0.9 * vg.Centimeter // of a strip
	footHeight    = 1 * vg.Centimeter
)

var (
	ink       = color.RGBA{0x22, 0x22, 0x22, 0xff}
	faint     = color.RGBA{0x77, 0x77, 0x77, 0xff}
	blue      = color.RGBA{0x1f, 0x5f, 0xa8, 0xff}
	mustShade = color.RGBA{0xea, 0xf4, 0xe4, 0xff}
	goalShade = color.RGBA{0xc9, 0xe6, 0xbc, 0xff}
)

// format is that of a picture's file, by its name; "" if it is none.
func format(file string) string {
	switch filepath.Ext(file) {
	case ".svg":
		return "svg"
	case ".png":
		return "png"
	}
	return ""
}

// canvas is where a picture is drawn before it is written.
type canvas interface {
	vg.CanvasSizer
	io.WriterTo
}

func newCanvas(format string) canvas {
	if format == "png" {
		return vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(pictureWidth, pictureHeight), vgimg.UseDPI(120))}
	}
	return vgsvg.New(pictureWidth, pictureHeight)
}

// drawResult makes the picture of a result.
func drawResult(r result, file string) (err error) {
	c := newCanvas(format(file))
	all := draw.New(c)
	all.SetColor(color.White)
	all.Fill(all.Rectangle.Path())
	label(all, 14, ink, draw.XCenter, vg.Point{X: all.Center().X, Y: all.Max.Y - 0.9*vg.Centimeter},
		fmt.Sprintf("orderflow by HTTP, beside its Watermill peer in process: %d rounds", r.Rounds))
	label(all, 10, faint, draw.XCenter, vg.Point{X: all.Center().X, Y: all.Max.Y - 1.6*vg.Centimeter},
		"a dot for each round, the first at the top; the median in blue; shaded is what is aimed at")
	strips := draw.Crop(all, 0, 0, footHeight, -headHeight)
	tiles := draw.Tiles{
		Cols: columns, Rows: (len(targets) + columns - 1) / columns,
		PadLeft: vg.Centimeter, PadRight: vg.Centimeter, PadX: 1.5 * vg.Centimeter, PadY: 0.7 * vg.Centimeter,
	}
	for i, t := range targets {
		p := plot.New()
		p.HideY()
		p.X.Tick.Label.Font, p.X.Tick.Label.Color, p.X.Color = sans(9), faint, faint
		p.X.Tick.Marker = ticks{}
		p.X.Padding = 0
		p.Y.Min, p.Y.Max = 0, 1
		p.X.Min, p.X.Max = 0, t.widest(r)
		p.Add(strip{t, t.values(r)})
		p.Draw(draw.Crop(tiles.At(strips, i/tiles.Rows, i%tiles.Rows), 0, 0, 0, -titleHeight))
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if format(file) == "png" {
		_, err = c.WriteTo(f)
		return err
	}
	// Liberation Sans has Arial's measures, and where it is missing Arial is there, or something like it.
	var svg strings.Builder
	if _, err := c.WriteTo(&svg); err != nil {
		return err
	}
	_, err = f.WriteString(strings.ReplaceAll(svg.String(), "font-family:Liberation Sans;", "font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
	return err
}

// ticks are the usual ones, with numbers as they are written elsewhere.
type ticks struct{}

// Ticks implements plot.Ticker.
func (ticks) Ticks(low, high float64) []plot.Tick {
	all := plot.DefaultTicks{}.Ticks(low, high)
	for i, t := range all {
		if t.Label != "" {
			all[i].Label = number(t.Value)
		}
	}
	return all
}

// widest is where the axis ends: everything is on it, and where more is better, there is something beyond the goal.
func (t target) widest(r result) float64 {
	_, high := t.values(r).ends()
	return 1.15 * max(high, t.must, t.goal)
}

// strip draws the values of a target above its axis.
type strip struct {
	target target
	values series
}

// Plot implements plot.Plotter.
func (s strip) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	shade := func(from, to float64, in color.Color) {
		c.FillPolygon(in, []vg.Point{{X: x(from), Y: c.Min.Y}, {X: x(to), Y: c.Min.Y}, {X: x(to), Y: c.Max.Y}, {X: x(from), Y: c.Max.Y}})
	}
	if t := s.target; t.more {
		shade(t.must, t.goal, mustShade)
		shade(t.goal, p.X.Max, goalShade)
	} else {
		shade(t.goal, t.must, mustShade)
		shade(0, t.goal, goalShade)
	}
	s.aims(c, x)
	for i, v := range s.values.Rounds {
		level := 1 - (float64(i)+1)/float64(len(s.values.Rounds)+1)
		c.DrawGlyph(draw.GlyphStyle{Color: ink, Radius: 2.5, Shape: draw.CircleGlyph{}}, vg.Point{X: x(v), Y: y(level)})
	}
	median := x(s.values.Median)
	c.StrokeLine2(draw.LineStyle{Color: blue, Width: 2}, median, c.Min.Y, median, c.Max.Y)
	title := c.Max.Y + vg.Points(15)
	label(c, 11, ink, draw.XLeft, vg.Point{X: c.Min.X, Y: title}, s.target.name)
	label(c, 11, blue, draw.XRight, vg.Point{X: c.Max.X, Y: title}, number(s.values.Median)+" "+s.target.unit)
}

// leastDistance of two aims that have a label each.
const leastDistance = 1.6 * vg.Centimeter

// aims draws what is aimed at.
func (s strip) aims(c draw.Canvas, x func(float64) vg.Length) {
	near, far := aim{"must", s.target.must}, aim{"goal", s.target.goal}
	if near.at > far.at {
		near, far = far, near
	}
	for _, a := range []aim{near, far} {
		c.StrokeLine2(draw.LineStyle{Color: faint, Width: 0.75}, x(a.at), c.Min.Y, x(a.at), c.Max.Y)
	}
	y := c.Max.Y + 2
	if x(far.at)-x(near.at) < leastDistance {
		label(c, 8, faint, draw.XLeft, vg.Point{X: x(near.at), Y: y}, near.String()+", "+far.String())
		return
	}
	for _, a := range []aim{near, far} {
		label(c, 8, faint, draw.XCenter, vg.Point{X: x(a.at), Y: y}, a.String())
	}
}

// aim is a value that is aimed at.
type aim struct {
	name string
	at   float64
}

func (a aim) String() string { return a.name + " " + number(a.at) }

func sans(size vg.Length) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
}

// label writes a line of text, with its baseline at a point.
func label(c draw.Canvas, size vg.Length, in color.Color, align text.XAlignment, at vg.Point, what string) {
	c.FillText(text.Style{Color: in, Font: sans(size), XAlign: align, YAlign: draw.YBottom, Handler: plot.DefaultTextHandler}, at, what)
}
