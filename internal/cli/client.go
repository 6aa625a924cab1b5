package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/rephlo/rephlo/internal/app"
	"github.com/rephlo/rephlo/internal/identity/client"
)

type clientCommands struct {
	List         clientList   `cmd:"" help:"List the clients that people sign in with."`
	Show         clientShow   `cmd:"" help:"Show a client, as JSON."`
	Create       clientCreate `cmd:"" help:"Make a client; its secret is printed once."`
	Edit         clientEdit   `cmd:"" help:"Change a client."`
	Disable      clientOff    `cmd:"" help:"Make a client unknown to everybody; its tokens end."`
	Enable       clientOn     `cmd:"" help:"Let a disabled client in again; its old tokens stay dead."`
	Delete       clientDelete `cmd:"" help:"Delete a client; its tokens end."`
	RotateSecret clientRotate `cmd:"" help:"Print another secret; the one before works for 24 hours still."`
	Verify       clientVerify `cmd:"" help:"Vouch for who a client is."`
}

// why is the reason of a change, for the audit log.
type why struct {
	Reason string `default:"from the command line" help:"For the audit log."`
}

// withClients lets do administer the clients.
func (e *env) withClients(do func(client.Admin) error) error {
	return e.withCore(func(core *app.Core) error {
		admin, err := core.ClientAdmin(e.ctx)
		if err != nil {
			return err
		}
		return do(admin)
	})
}

// print writes v as JSON that a person can read.
func (e *env) print(v any) error {
	out := json.NewEncoder(e.stdout)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

type clientList struct{}

func (clientList) Run(e *env) error {
	return e.withClients(func(a client.Admin) error {
		t := tabwriter.NewWriter(e.stdout, 0, 8, 2, ' ', 0)
		for _, c := range a.List(e.ctx, "", 1_000_000, func(client.Client) bool { return true }) {
			s := client.Show(c, time.Time{})
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", s.ID, s.Name, s.Status, s.AuthMethod, s.Source)
		}
		return t.Flush()
	})
}

type clientShow struct {
	ID string `arg:"" help:"Which client."`
}

func (c clientShow) Run(e *env) error {
	return e.withClients(func(a client.Admin) error {
		found, err := a.One(e.ctx, c.ID)
		if err != nil {
			return err
		}
		return e.print(client.Show(found, time.Now())) //nolint:forbidigo // the command's own clock
	})
}

// clientSettings are those of a client, as flags for the common ones.
type clientSettings struct {
	Name        string   `help:"What people are shown."`
	RedirectURI []string `name:"redirect-uri" sep:"none" placeholder:"URI" help:"Where it is answered; may be repeated."`
	Scope       []string `placeholder:"NAME" help:"What it may ask for; may be repeated."`
	Settings    string   `placeholder:"JSON" help:"Other settings, by the names of the API; - reads them from stdin."`
}

func (s clientSettings) edit(e *env) (client.Edit, error) {
	var edit client.Edit
	if err := e.decode(s.Settings, &edit); err != nil {
		return edit, err
	}
	if s.Name != "" {
		edit.Name = &s.Name
	}
	if len(s.RedirectURI) > 0 {
		edit.RedirectURIs = &s.RedirectURI
	}
	if len(s.Scope) > 0 {
		edit.Scopes = &s.Scope
	}
	return edit, nil
}

type clientCreate struct {
	ID string `arg:"" optional:"" help:"Its id; default: one of our choice."`
	clientSettings
	why
}

func (c clientCreate) Run(e *env) error {
	edit, err := c.edit(e)
	if err != nil {
		return err
	}
	if c.ID != "" {
		edit.ID = &c.ID
	}
	return e.withClients(func(a client.Admin) error {
		made, secret, err := a.Create(e.ctx, edit, c.Reason)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "client %s\n", made.ID)
		if secret != "" {
			fmt.Fprintf(e.stdout, "secret %s\n", secret)
		}
		return nil
	})
}

type clientEdit struct {
	ID string `arg:"" help:"Which client."`
	clientSettings
	why
}

func (c clientEdit) Run(e *env) error {
	edit, err := c.edit(e)
	if err != nil {
		return err
	}
	return e.withClients(func(a client.Admin) error {
		changed, err := a.Edit(e.ctx, c.ID, edit, c.Reason)
		if err != nil {
			return err
		}
		return e.print(client.Show(changed, time.Now())) //nolint:forbidigo // the command's own clock
	})
}

type clientSwitch struct {
	ID string `arg:"" help:"Which client."`
	why
}

func (c clientSwitch) to(e *env, status client.Status) error {
	return e.withClients(func(a client.Admin) error {
		_, err := a.Edit(e.ctx, c.ID, client.Edit{Status: &status}, c.Reason)
		if err == nil {
			fmt.Fprintf(e.stdout, "%s is %s; servers that run know it within seconds\n", c.ID, status)
		}
		return err
	})
}

type clientOff struct{ clientSwitch }

func (c clientOff) Run(e *env) error { return c.to(e, client.StatusDisabled) }

type clientOn struct{ clientSwitch }

func (c clientOn) Run(e *env) error { return c.to(e, client.StatusActive) }

type clientDelete struct {
	ID      string `arg:"" help:"Which client."`
	Confirm bool   `help:"Also while people are signed in with it."`
	why
}

func (c clientDelete) Run(e *env) error {
	return e.withClients(func(a client.Admin) error {
		err := a.Delete(e.ctx, c.ID, c.Confirm, c.Reason)
		if err == nil {
			fmt.Fprintf(e.stdout, "%s is deleted\n", c.ID)
		}
		return err
	})
}

type clientRotate struct {
	ID     string `arg:"" help:"Which client."`
	Leaked bool   `help:"The secret before works no more, and the client's tokens end."`
	why
}

func (c clientRotate) Run(e *env) error {
	return e.withClients(func(a client.Admin) error {
		_, secret, err := a.RotateSecret(e.ctx, c.ID, c.Leaked, c.Reason)
		if err == nil {
			fmt.Fprintf(e.stdout, "secret %s\n", secret)
		}
		return err
	})
}

type clientVerify struct {
	ID   string `arg:"" help:"Which client."`
	Undo bool   `help:"Take it back."`
	why
}

func (c clientVerify) Run(e *env) error {
	return e.withClients(func(a client.Admin) error {
		_, err := a.Verify(e.ctx, c.ID, !c.Undo, c.Reason)
		if err == nil {
			fmt.Fprintf(e.stdout, "%s is verified: %t\n", c.ID, !c.Undo)
		}
		return err
	})
}
