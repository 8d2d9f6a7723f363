package weather

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"sync"
)

// Limits of what is kept in memory.
const (
	maxStations = 1000
	maxReadings = 100 // of a station; older ones are dropped
)

var stationName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// Station is one station in an answer.
type Station struct {
	Name     string    `json:"name"`
	Celsius  float64   `json:"celsius" jsonschema:"the newest reading"`
	Readings []float64 `json:"readings" jsonschema:"oldest first"`
}

// stations holds the readings, in degrees Celsius. Safe for concurrent use.
type stations struct {
	mu       sync.RWMutex
	readings map[string][]float64 // oldest first, never empty
}

func newStations() *stations { return &stations{readings: map[string][]float64{}} }

func (s *stations) record(name string, celsius float64) (Station, error) {
	if !stationName.MatchString(name) {
		return Station{}, errors.New("a station's name is 1 to 40 of a-z, 0-9 and hyphen, such as berlin-mitte")
	}
	if math.IsNaN(celsius) || celsius < -100 || celsius > 70 {
		return Station{}, errors.New("celsius must lie between -100 and 70")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.readings[name]
	if !known && len(s.readings) >= maxStations {
		return Station{}, fmt.Errorf("there are %d stations already; use one of them", maxStations)
	}
	if len(old) >= maxReadings {
		old = old[1:]
	}
	s.readings[name] = append(slices.Clone(old), celsius)
	return s.station(name), nil
}

func (s *stations) get(name string) (Station, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, ok := s.readings[name]; !ok {
		return Station{}, errors.New("no reading of that station yet; record one with set_reading")
	}
	return s.station(name), nil
}

func (s *stations) all() []Station {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Station, 0, len(s.readings))
	for _, name := range slices.Sorted(maps.Keys(s.readings)) {
		list = append(list, s.station(name))
	}
	return list
}

// station needs s.mu, and a name that exists.
func (s *stations) station(name string) Station {
	r := s.readings[name]
	return Station{Name: name, Celsius: r[len(r)-1], Readings: slices.Clone(r)}
}
