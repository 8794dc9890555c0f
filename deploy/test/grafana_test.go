package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// TestGrafanaKnowsTheDashboards reads each dashboard by Grafana's own types, and wants nothing in it that these do not know.
func TestGrafanaKnowsTheDashboards(t *testing.T) {
	register()
	files, err := filepath.Glob("../grafana/*.json")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		for _, problem := range misread(read(t, file)) {
			t.Errorf("%s: %s", filepath.Base(file), problem)
		}
	}
}

// TestGrafanaRefusesMistakes makes a mistake of each kind in a dashboard, and wants that it is found.
func TestGrafanaRefusesMistakes(t *testing.T) {
	register()
	whole := compact(t, read(t, "../grafana/overview.json"))
	for right, wrong := range map[string]string{
		`"schemaVersion":`:           `"schemaversion":`, // of the dashboard
		`"refresh":2,`:               `"refresh":"always",`,
		`"includeAll":true`:          `"includeall":true`,
		`"gridPos":{"h":8`:           `"gridPos":{"high":8`,
		`"gridPos":{"h":4,"w":4`:     `"gridPos":{"h":4,"w":"4"`,
		`"colorMode":"value"`:        `"colourMode":"value"`, // of a stat panel
		`"graphMode":"none"`:         `"graphMode":"nothing"`,
		`"reduceOptions":{"calcs"`:   `"reduceOptions":{"calc"`,
		`"defaults":{"unit":`:        `"defaults":{"units":`,
		`"color":"green"`:            `"colour":"green"`, // of a threshold
		`"min":0`:                    `"min":"0"`,
		`"drawStyle":"line"`:         `"drawStyle":"lines"`,
		`"fillOpacity":`:             `"opacity":`,
		`"stacking":{"mode":"none"`:  `"stacking":{"mode":"no"`,
		`"showLegend":true`:          `"show":true`,
		`"placement":"bottom"`:       `"placement":"below"`,
		`"tooltip":{"mode":"multi"`:  `"tooltip":{"mode":"many"`,
		`"legendFormat":`:            `"legend":`, // of a query
		`"instant":true`:             `"instant":"true"`,
		`"type":"timeseries"`:        `"type":"timeserie"`,
		`"mode":"palette-classic"`:   `"mode":"palette-classy"`,
		`"type":"query","datasource`: `"type":"querry","datasource`,
	} {
		text := strings.Replace(whole, right, wrong, 1)
		if text == whole {
			t.Errorf("the dashboard has no %s", right)
		} else if len(misread(text)) == 0 {
			t.Errorf("%s was read without a word", wrong)
		}
	}
}

// register says which options and queries panels may have.
func register() {
	known := cog.NewRuntime()
	known.RegisterPanelcfgVariant(timeseries.VariantConfig())
	known.RegisterPanelcfgVariant(stat.VariantConfig())
	known.RegisterDataqueryVariant(prometheus.VariantConfig())
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(text) { // a member or a bracket each, so that their order stays
		b.WriteString(strings.Replace(strings.TrimSpace(line), `": `, `":`, 1))
	}
	if !json.Valid([]byte(b.String())) {
		t.Fatal("the dashboard is no JSON any more")
	}
	return b.String()
}

// misread gives what is wrong with a dashboard.
func misread(text string) (problems []string) {
	note := func(where string, err error) {
		var list cog.BuildErrors // which is an error without anything in it, too
		if err == nil || errors.As(err, &list) && len(list) == 0 {
			return
		}
		problems = append(problems, fmt.Sprintf("%s: %v", where, err))
	}
	var d dashboard.Dashboard //nolint:staticcheck // the form of files that people import. The newer one is that of an API
	note("dashboard", d.UnmarshalJSONStrict([]byte(text)))
	note("dashboard", d.Validate())
	var raw struct {
		Panels []struct {
			Type        string          `json:"type"`
			Title       string          `json:"title"`
			FieldConfig json.RawMessage `json:"fieldConfig"`
		} `json:"panels"`
	}
	note("dashboard", json.Unmarshal([]byte(text), &raw))
	for _, p := range raw.Panels {
		if !slices.Contains([]string{"row", "stat", "timeseries"}, p.Type) {
			problems = append(problems, fmt.Sprintf("%s: the type %q was not registered", p.Title, p.Type))
		}
		var config dashboard.FieldConfigSource // which Dashboard reads without being strict
		note(p.Title, config.UnmarshalJSONStrict(p.FieldConfig))
	}
	var all any
	note("dashboard", json.Unmarshal([]byte(text), &all))
	return append(problems, misworded("", all)...)
}

// words are the values that members may have which are of a list in Grafana. Its types of Go take any text.
func words() map[string][]string {
	return map[string][]string{
		"drawStyle":              list(common.GraphDrawStyleLine, common.GraphDrawStyleBars, common.GraphDrawStylePoints),
		"showPoints":             list(common.VisibilityModeAuto, common.VisibilityModeAlways, common.VisibilityModeNever),
		"stacking.mode":          list(common.StackingModeNone, common.StackingModeNormal, common.StackingModePercent),
		"legend.displayMode":     list(common.LegendDisplayModeList, common.LegendDisplayModeTable),
		"legend.placement":       list(common.LegendPlacementBottom, common.LegendPlacementRight),
		"tooltip.mode":           list(common.TooltipDisplayModeSingle, common.TooltipDisplayModeMulti, common.TooltipDisplayModeNone),
		"tooltip.sort":           list(common.SortOrderAscending, common.SortOrderDescending, common.SortOrderNone),
		"colorMode":              list(common.BigValueColorModeValue, common.BigValueColorModeBackground, common.BigValueColorModeNone),
		"graphMode":              list(common.BigValueGraphModeNone, common.BigValueGraphModeArea, common.BigValueGraphModeLine),
		"justifyMode":            list(common.BigValueJustifyModeAuto, common.BigValueJustifyModeCenter),
		"textMode":               list(common.BigValueTextModeAuto, common.BigValueTextModeValue, common.BigValueTextModeName, common.BigValueTextModeValueAndName),
		"percentChangeColorMode": list(common.PercentChangeColorModeStandard, common.PercentChangeColorModeInverted),
		"orientation":            list(common.VizOrientationAuto, common.VizOrientationHorizontal, common.VizOrientationVertical),
		"thresholds.mode":        list(dashboard.ThresholdsModeAbsolute, dashboard.ThresholdsModePercentage),
		"color.mode":             list(dashboard.FieldColorModeIdThresholds, dashboard.FieldColorModeIdPaletteClassic, dashboard.FieldColorModeIdFixed),
		"list.type":              list(dashboard.VariableTypeDatasource, dashboard.VariableTypeQuery),
	}
}

func list[T ~string](all ...T) (texts []string) {
	for _, each := range all {
		texts = append(texts, string(each))
	}
	return texts
}

// misworded gives the members below one, named parent, whose value is not one of words.
func misworded(parent string, value any) (problems []string) {
	switch value := value.(type) {
	case []any:
		for _, each := range value {
			problems = append(problems, misworded(parent, each)...)
		}
	case map[string]any:
		for name, each := range value {
			problems = append(problems, misworded(name, each)...)
			said, is := each.(string)
			for _, key := range []string{name, parent + "." + name} {
				if allowed := words()[key]; is && allowed != nil && !slices.Contains(allowed, said) {
					problems = append(problems, fmt.Sprintf("%s is %q, and may be one of %q", key, said, allowed))
				}
			}
		}
	}
	return problems
}
