package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/app"
	"github.com/rephlo/rephlo/internal/sqldb"
)

type serveCommand struct{}

func (serveCommand) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	return serve(e.ctx, cfg, e.stdout, e.stderr)
}

type adminCommands struct {
	Create adminCreate `cmd:"" help:"Make an administrator: prints a one-time link, or takes the password on stdin."`
}

type adminCreate struct {
	Email         string `arg:"" help:"E-mail address."`
	PasswordStdin bool   `help:"Read the password from stdin and create the administrator at once."`
}

func (c adminCreate) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	var password io.Reader
	if c.PasswordStdin {
		password = e.stdin
	}
	return createAdmin(e.ctx, cfg, c.Email, password, e.stdout, e.stderr)
}

type keyCommands struct {
	Create keyCreate `cmd:"" help:"Make an API key and print it, once."`
}

type keyCreate struct {
	User    string        `required:"" placeholder:"EMAIL" help:"Whose key it is."`
	Name    string        `default:"Command line" help:"What it is for."`
	Mode    string        `default:"live" enum:"live,test" help:"live: all models, for credits. test: the test models, free."`
	Scopes  []string      `help:"What it may do; all that a key can by default."`
	Expires time.Duration `default:"2160h" help:"How long it works; 0 for ever."`
}

func (c keyCreate) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	n := apikey.NewKey{Name: c.Name, Mode: apikey.Mode(c.Mode), Scopes: c.Scopes, NoExpiry: c.Expires == 0}
	if len(n.Scopes) == 0 {
		n.Scopes = apikey.Scopes
	}
	if c.Expires > 0 {
		n.ExpiresAt = time.Now().Add(c.Expires) //nolint:forbidigo // the command's own clock
	}
	return createKey(e.ctx, cfg, c.User, n, e.stdout, e.stderr)
}

type configCommands struct {
	Print configPrint `cmd:"" help:"Print the settings in effect, secrets masked."`
}

type configPrint struct {
	Origin bool `help:"Say where each value comes from."`
	JSON   bool `help:"Print JSON."`
}

func (c configPrint) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if c.JSON {
		return cfg.PrintJSON(e.stdout, c.Origin)
	}
	return cfg.Print(e.stdout, c.Origin)
}

type versionCommand struct {
	JSON bool `help:"Print JSON."`
}

func (c versionCommand) Run(e *env) error {
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(map[string]any{"version": app.Version(), "schema": sqldb.SchemaVersion()})
	}
	fmt.Fprintf(e.stdout, "rephlo %s (schema %d)\n", app.Version(), sqldb.SchemaVersion())
	return nil
}

type migrateCommand struct {
	Up     migrateUp     `cmd:"" default:"1" help:"Apply what is missing."`
	Status migrateStatus `cmd:"" help:"List the steps."`
}

type migrateUp struct{}

func (migrateUp) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	core, err := app.NewCore(e.ctx, cfg, quiet(e.stderr))
	if err != nil {
		return classify(err)
	}
	fmt.Fprintf(e.stdout, "the schema is at version %d\n", sqldb.SchemaVersion())
	return core.Close()
}

type migrateStatus struct{}

func (migrateStatus) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	db, err := openExisting(e.ctx, cfg)
	if err != nil {
		return classify(err)
	}
	defer db.Close()
	steps, err := db.Migrations(e.ctx)
	if err != nil {
		return classify(err)
	}
	t := tabwriter.NewWriter(e.stdout, 0, 8, 2, ' ', 0)
	for _, s := range steps {
		state := "pending"
		if s.Applied {
			state = "applied"
		}
		fmt.Fprintf(t, "%05d\t%s\t%s\n", s.Version, state, s.Name)
	}
	return t.Flush()
}
