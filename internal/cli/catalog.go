package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/rephlo/rephlo/internal/app"
	"github.com/rephlo/rephlo/internal/catalog"
)

type catalogCommands struct {
	Import catalogImport `cmd:"" help:"Compare a provider's prices with the list that is compiled in; import those that are named."`
}

type catalogImport struct {
	Provider string   `arg:"" help:"Provider, by its id here."`
	Models   []string `arg:"" optional:"" help:"Models to import the prices of, as the vendor calls them; none: only compare."`
	All      bool     `help:"Import all that are new or changed, without the suspicious ones."`
	Confirm  []string `placeholder:"MODEL" help:"Import this suspicious price too."`
	List     string   `placeholder:"NAME" help:"The list's name of the provider, when it is another."`
	Changes  bool     `help:"Leave out what is the same."`
	JSON     bool     `help:"Print JSON."`
	Reason   string   `default:"imported from the command line" help:"For the history, at least 10 characters."`
}

// comparedModel is a line of the comparison. Prices are micro-dollars for a
// million tokens.
type comparedModel struct {
	Model    string           `json:"vendorModelId"`
	Standing catalog.Standing `json:"standing"`
	Why      string           `json:"why,omitempty"`
	Here     *comparedPrice   `json:"here"`
	List     *comparedPrice   `json:"list"`
	Imported bool             `json:"imported"`
}

type comparedPrice struct {
	Input  int64 `json:"input"`
	Output int64 `json:"output"`
}

func (c catalogImport) Run(e *env) error {
	return e.withCore(func(core *app.Core) error {
		in := catalog.Import{Provider: c.Provider, List: c.List, Models: append(c.Models, c.Confirm...), All: c.All, Confirmed: c.Confirm}
		only := len(in.Models) == 0 && !c.All
		found, err := core.Catalogue().ImportPrices(e.ctx, in, only, catalog.By{Actor: "command-line", Reason: c.Reason})
		if err != nil {
			return err
		}
		out := []comparedModel{}
		for _, d := range found {
			if c.Changes && (d.Standing == catalog.Same || d.Standing == catalog.Unpriced) {
				continue
			}
			m := comparedModel{Model: d.VendorModel, Standing: d.Standing, Why: d.Why, Imported: d.Imported}
			if d.Here != nil {
				m.Here = &comparedPrice{int64(d.Here.Input), int64(d.Here.Output)}
			}
			if d.List != nil {
				m.List = &comparedPrice{int64(d.List.Input), int64(d.List.Output)}
			}
			out = append(out, m)
		}
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(out)
		}
		return printCompared(e.stdout, e.stderr, out, only)
	})
}

func printCompared(stdout, stderr io.Writer, models []comparedModel, only bool) error {
	t := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "MODEL\tSTANDING\tHERE IN/OUT\tLIST IN/OUT\tNOTE")
	imported := 0
	for _, m := range models {
		note := m.Why
		if m.Imported {
			imported++
			note = "imported"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", m.Model, m.Standing, m.Here, m.List, note)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if only {
		fmt.Fprintln(stderr, "nothing was changed; name models, or say --all, to import prices")
		return nil
	}
	fmt.Fprintf(stderr, "%d prices were imported; servers that run know them within seconds\n", imported)
	return nil
}

// String returns dollars for a million tokens.
func (p *comparedPrice) String() string {
	if p == nil {
		return "-"
	}
	const dollar = 1e6
	return fmt.Sprintf("$%g/$%g", float64(p.Input)/dollar, float64(p.Output)/dollar)
}
