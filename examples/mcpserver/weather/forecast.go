package weather

import (
	"errors"
	"fmt"
	"math"
)

// How many readings a forecast needs, and uses at most.
const (
	minTrend = 3
	maxTrend = 6
)

// forecast extends the line that fits the newest readings best (least squares) by one step:
// the next reading if the trend continues.
func forecast(readings []float64) (next, perReading float64, used int, err error) {
	if len(readings) < minTrend {
		return 0, 0, 0, fmt.Errorf("a forecast needs %d readings or more; record some with set_reading", minTrend)
	}
	readings = readings[max(0, len(readings)-maxTrend):]
	used = len(readings)
	n := float64(used)
	var sumX, sumY, sumXY, sumXX float64
	for i, y := range readings {
		x := float64(i)
		sumX, sumY, sumXY, sumXX = sumX+x, sumY+y, sumXY+x*y, sumXX+x*x
	}
	perReading = (n*sumXY - sumX*sumY) / (n*sumXX - sumX*sumX)
	next = (sumY-perReading*sumX)/n + perReading*n
	return tenth(next), tenth(perReading), used, nil
}

// windChill is the formula of the weather services of Canada and the United States. It is for
// winds of at least 4.8 km/h and at most 10 degrees; otherwise it returns the temperature.
func windChill(celsius, windKmh float64) (feels float64, applied bool, err error) {
	if math.IsNaN(celsius) || math.IsNaN(windKmh) || celsius < -100 || celsius > 70 || windKmh < 0 || windKmh > 500 {
		return 0, false, errors.New("celsius must lie between -100 and 70, wind_kmh between 0 and 500")
	}
	if celsius > 10 || windKmh < 4.8 {
		return tenth(celsius), false, nil
	}
	v := math.Pow(windKmh, 0.16)
	return tenth(13.12 + 0.6215*celsius - 11.37*v + 0.3965*celsius*v), true, nil
}

func tenth(x float64) float64 { return math.Round(x*10) / 10 }
