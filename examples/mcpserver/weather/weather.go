package weather

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
)

// StationsURI is the resource that lists all stations. The resource of one station is this URI,
// a slash and its name.
const StationsURI = "weather://stations"

// New returns a server without readings. Its tools are set_reading, get_stations, get_forecast,
// get_feels_like and whoami; its prompt is briefing.
func New() *mcp.Server {
	w := &weather{stations: newStations()}
	s := mcp.NewServer(&mcp.Implementation{Name: "weather", Version: "1.0.0"}, nil)

	mcp.AddTool(s, &mcp.Tool{Name: "set_reading", Description: "Record a temperature reading of a station."}, w.setReading)
	mcp.AddTool(s, &mcp.Tool{Name: "get_stations", Description: "List the stations with their readings."}, w.getStations)
	mcp.AddTool(s, &mcp.Tool{Name: "get_forecast", Description: "Compute a station's next reading if its trend continues."}, w.getForecast)
	mcp.AddTool(s, &mcp.Tool{Name: "get_feels_like", Description: "Compute the wind chill of a temperature and a wind speed."}, w.getFeelsLike)
	mcp.AddTool(s, &mcp.Tool{Name: "whoami", Description: "Tell which API key is calling."}, whoami)

	s.AddPrompt(&mcp.Prompt{
		Name: "briefing", Description: "Ask for a short weather briefing from a station's readings.",
		Arguments: []*mcp.PromptArgument{{Name: "station", Description: "the station's name", Required: true}},
	}, w.briefing)
	s.AddResource(&mcp.Resource{Name: "stations", URI: StationsURI, MIMEType: "application/json"}, w.readStations)
	s.AddResourceTemplate(&mcp.ResourceTemplate{
		Name: "station", URITemplate: StationsURI + "/{name}", MIMEType: "application/json",
	}, w.readStation)
	return s
}

type weather struct{ stations *stations }

// Reading is the input of set_reading.
type Reading struct {
	Station string  `json:"station" jsonschema:"name of the station, such as berlin-mitte"`
	Celsius float64 `json:"celsius" jsonschema:"the temperature in degrees Celsius"`
}

func (w *weather) setReading(_ context.Context, _ *mcp.CallToolRequest, in Reading) (*mcp.CallToolResult, Station, error) {
	station, err := w.stations.record(in.Station, in.Celsius)
	return nil, station, err
}

// Stations is the output of get_stations.
type Stations struct {
	Stations []Station `json:"stations"`
}

func (w *weather) getStations(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, Stations, error) {
	return nil, Stations{w.stations.all()}, nil
}

// StationName is the input of get_forecast.
type StationName struct {
	Station string `json:"station" jsonschema:"name of the station"`
}

// Forecast is the output of get_forecast.
type Forecast struct {
	Station    string  `json:"station"`
	Next       float64 `json:"next_celsius" jsonschema:"the next reading if the trend continues"`
	PerReading float64 `json:"change_per_reading" jsonschema:"the trend, in degrees"`
	Used       int     `json:"readings_used"`
}

func (w *weather) getForecast(_ context.Context, _ *mcp.CallToolRequest, in StationName) (*mcp.CallToolResult, Forecast, error) {
	station, err := w.stations.get(in.Station)
	if err != nil {
		return nil, Forecast{}, err
	}
	next, change, used, err := forecast(station.Readings)
	return nil, Forecast{station.Name, next, change, used}, err
}

// Wind is the input of get_feels_like.
type Wind struct {
	Celsius float64 `json:"celsius" jsonschema:"the temperature in degrees Celsius"`
	WindKmh float64 `json:"wind_kmh" jsonschema:"the wind speed in kilometres per hour"`
}

// FeelsLike is the output of get_feels_like.
type FeelsLike struct {
	Celsius   float64 `json:"feels_like_celsius"`
	WindChill bool    `json:"wind_chill" jsonschema:"whether it is cold and windy enough for wind to matter"`
}

func (w *weather) getFeelsLike(_ context.Context, _ *mcp.CallToolRequest, in Wind) (*mcp.CallToolResult, FeelsLike, error) {
	feels, applied, err := windChill(in.Celsius, in.WindKmh)
	return nil, FeelsLike{feels, applied}, err
}

// Caller is the output of whoami.
type Caller struct {
	KeyID  string   `json:"key_id"`
	Name   string   `json:"name"`
	Owner  string   `json:"owner,omitempty"`
	Scopes []string `json:"scopes"`
}

func whoami(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, Caller, error) {
	id, ok := keys.IdentityFrom(ctx)
	if !ok {
		return nil, Caller{}, fmt.Errorf("the caller is not known: this server is not guarded")
	}
	return nil, Caller{id.KeyID(), id.Name(), id.Owner(), append([]string{}, id.Scopes()...)}, nil
}

func (w *weather) briefing(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	station, err := w.stations.get(req.Params.Arguments["station"])
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("Write a weather briefing of two sentences for the station %s. Its readings in degrees Celsius, oldest first: %v.",
		station.Name, station.Readings)
	return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: text}}}}, nil
}

func (w *weather) readStations(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return asJSON(req.Params.URI, Stations{w.stations.all()})
}

func (w *weather) readStation(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	station, err := w.stations.get(strings.TrimPrefix(req.Params.URI, StationsURI+"/"))
	if err != nil {
		return nil, mcp.ResourceNotFoundError(req.Params.URI)
	}
	return asJSON(req.Params.URI, station)
}

func asJSON(uri string, v any) (*mcp.ReadResourceResult, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: uri, MIMEType: "application/json", Text: string(text)}}}, nil
}
