package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/rephlo/rephlo/internal/identity/client"
)

type resourceCommands struct {
	List   resourceList   `cmd:"" help:"List the APIs of others that take our tokens."`
	Show   resourceShow   `cmd:"" help:"Show one, as JSON."`
	Create resourceCreate `cmd:"" help:"Let an API take our tokens."`
	Edit   resourceEdit   `cmd:"" help:"Change one; {\"status\":\"disabled\"} issues no tokens for it."`
	Delete resourceDelete `cmd:"" help:"Delete one."`
}

type resourceList struct{}

func (resourceList) Run(e *env) error {
	return e.withClients(func(a client.Admin) error {
		t := tabwriter.NewWriter(e.stdout, 0, 8, 2, ' ', 0)
		for _, r := range a.Resources(e.ctx) {
			s := client.ShowResource(r)
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.ID, s.Name, s.Status, s.OpenTo)
		}
		return t.Flush()
	})
}

type resourceShow struct {
	ID string `arg:"" help:"Its address."`
}

func (c resourceShow) Run(e *env) error {
	return e.withClients(func(a client.Admin) error { return e.printResource(a.Resource(e.ctx, c.ID)) })
}

func (e *env) printResource(r client.Resource, err error) error {
	if err != nil {
		return err
	}
	return e.print(client.ShowResource(r))
}

// decode reads settings as the API takes them; "-" is stdin.
func (e *env) decode(text string, into any) error {
	if text == "" {
		return nil
	}
	var from io.Reader = strings.NewReader(text)
	if text == "-" {
		from = e.stdin
	}
	in := json.NewDecoder(from)
	in.DisallowUnknownFields()
	if err := in.Decode(into); err != nil {
		return Exit(exitUsage, fmt.Errorf("the settings: %w", err))
	}
	return nil
}

type resourceCreate struct {
	ID       string `arg:"" help:"Its address: the audience of its tokens."`
	Settings string `required:"" placeholder:"JSON" help:"Name, scopes and more, by the names of the API; - reads them from stdin."`
	why
}

func (c resourceCreate) Run(e *env) error {
	var edit client.ResourceEdit
	if err := e.decode(c.Settings, &edit); err != nil {
		return err
	}
	return e.withClients(func(a client.Admin) error { return e.printResource(a.CreateResource(e.ctx, c.ID, edit, c.Reason)) })
}

type resourceEdit struct {
	ID       string `arg:"" help:"Its address."`
	Settings string `required:"" placeholder:"JSON" help:"What changes, by the names of the API; - reads it from stdin."`
	why
}

func (c resourceEdit) Run(e *env) error {
	var edit client.ResourceEdit
	if err := e.decode(c.Settings, &edit); err != nil {
		return err
	}
	return e.withClients(func(a client.Admin) error { return e.printResource(a.EditResource(e.ctx, c.ID, edit, c.Reason)) })
}

type resourceDelete struct {
	ID string `arg:"" help:"Its address."`
	why
}

func (c resourceDelete) Run(e *env) error {
	return e.withClients(func(a client.Admin) error {
		err := a.DeleteResource(e.ctx, c.ID, c.Reason)
		if err == nil {
			fmt.Fprintf(e.stdout, "%s is deleted\n", c.ID)
		}
		return err
	})
}
