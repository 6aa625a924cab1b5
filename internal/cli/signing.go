package cli

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/rephlo/rephlo/internal/app"
)

type signingCommands struct {
	List   signingList   `cmd:"" help:"List the keys that sign tokens."`
	Rotate signingRotate `cmd:"" help:"Publish the next key; it signs a day later."`
	Revoke signingRevoke `cmd:"" help:"Remove a key at once; every token that it signed is refused."`
}

type signingList struct{}

func (signingList) Run(e *env) error {
	return e.withCore(func(core *app.Core) error {
		list, err := core.SigningKeys().List(e.ctx)
		if err != nil {
			return err
		}
		t := tabwriter.NewWriter(e.stdout, 0, 8, 2, ' ', 0)
		for _, k := range list {
			fmt.Fprintf(t, "%s\t%s\t%s\tsigns %s to %s\n", k.KID, k.Alg, k.State, k.ActiveFrom.Format(time.RFC3339), k.RetireAt.Format(time.RFC3339))
		}
		return t.Flush()
	})
}

type signingRotate struct {
	What   string `arg:"" enum:"signing" default:"signing" help:"signing: the keys that sign tokens."`
	Alg    string `enum:"ES256,RS256,EdDSA" default:"ES256" help:"Of which algorithm: ES256, RS256 or EdDSA."`
	Now    bool   `help:"Sign with it at once."`
	Reason string `default:"from the command line" help:"For the audit log."`
}

func (c signingRotate) Run(e *env) error {
	return e.withCore(func(core *app.Core) error {
		k, err := core.SigningKeys().Rotate(e.ctx, c.Alg, c.Now, c.Reason)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s signs from %s\n", k.KID, k.ActiveFrom.Format(time.RFC3339))
		return nil
	})
}

type signingRevoke struct {
	KID    string `arg:"" help:"Which key, as list prints it."`
	Reason string `default:"from the command line" help:"For the audit log."`
}

func (c signingRevoke) Run(e *env) error {
	return e.withCore(func(core *app.Core) error {
		if err := core.SigningKeys().Revoke(e.ctx, c.KID, c.Reason); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s is revoked; servers that run know it within seconds\n", c.KID)
		return nil
	})
}

// withCore lets do work on the installation, beside a server that may run.
func (e *env) withCore(do func(core *app.Core) error) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	core, err := app.NewCore(e.ctx, cfg, quiet(e.stderr))
	if err != nil {
		return classify(err)
	}
	defer core.Close()
	return classify(do(core))
}
