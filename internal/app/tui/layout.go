package tui

import (
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// Sizes at which the layout changes, in columns and rows.
const (
	minWidth, minHeight = 60, 16
	besideFrom          = 110 // the detail stands right of the list
	belowFrom           = 80  // the detail stands below the list
)

// fit makes text exactly width columns wide: it cuts with … or adds spaces.
func fit(text string, width int) string {
	if width <= 0 {
		return ""
	}
	if ansi.StringWidth(text) > width {
		text = ansi.Truncate(text, width, "…")
	}
	return text + strings.Repeat(" ", width-ansi.StringWidth(text))
}

// block makes lines exactly height lines of width columns.
func block(lines []string, width, height int) []string {
	out := make([]string, 0, height)
	for _, line := range lines[:min(len(lines), height)] {
		out = append(out, fit(line, width))
	}
	for len(out) < height {
		out = append(out, strings.Repeat(" ", width))
	}
	return out
}

// shorten cuts lines to room, at least one, and marks the cut.
func shorten(lines []string, room int) []string {
	room = max(1, room)
	if len(lines) <= room {
		return lines
	}
	return append(lines[:room-1:room-1], "…")
}

// ends puts left and right at the ends of one line, and cuts left if it is too long.
func ends(left, right string, width int) string {
	room := width - ansi.StringWidth(right)
	if room < 10 {
		return fit(left, width)
	}
	return fit(left, room-1) + " " + right
}

// wrap breaks text at spaces, or within a word that is too long, into lines of at most width
// columns.
func wrap(text string, width int) []string {
	return strings.Split(ansi.Wrap(text, max(1, width), ""), "\n")
}

// overlay puts a box over the middle of a page.
func overlay(page, box string, width, height int) string {
	x := max(0, (width-lipgloss.Width(box))/2)
	y := max(0, (height-lipgloss.Height(box))/2)
	return lipgloss.NewCompositor(
		lipgloss.NewLayer(page),
		lipgloss.NewLayer(box).X(x).Y(y).Z(1),
	).Render()
}

// framed draws a box with a title, as wide as its lines but at most width. If it is higher than
// height, it drops blank lines.
func (t theme) framed(title string, lines []string, width, height int) string {
	body := append([]string{t.bold.Render(title), ""}, lines...)
	for i := len(body) - 1; i > 0 && len(body)+t.frame.GetVerticalFrameSize() > height; i-- {
		if body[i] == "" {
			body = slices.Delete(body, i, i+1)
		}
	}
	inner := 0
	for _, line := range body {
		inner = max(inner, ansi.StringWidth(line))
	}
	inner = min(inner, width-t.frame.GetHorizontalFrameSize())
	return t.frame.Render(strings.Join(block(body, inner, len(body)), "\n"))
}
