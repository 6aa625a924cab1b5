package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/app"
	"github.com/rephlo/rephlo/internal/config"
)

// withDomains opens what a command works on and runs f. It is safe beside a
// running server.
func withDomains(ctx context.Context, cfg config.Config, stderr io.Writer, f func(*app.Core, *app.Domains) error) error {
	core, err := app.NewCore(ctx, cfg, quiet(stderr))
	if err != nil {
		return classify(err)
	}
	d := app.NewDomains(core, "command")
	if err = d.Levels.Load(ctx); err == nil {
		err = f(core, d)
	}
	return errors.Join(classify(err), core.Close())
}

// createAdmin makes an administrator with the password on stdin, or prints a
// one-time link with which the person chooses one.
func createAdmin(ctx context.Context, cfg config.Config, email string, password io.Reader, stdout, stderr io.Writer) error {
	return withDomains(ctx, cfg, stderr, func(core *app.Core, d *app.Domains) error {
		if password == nil {
			token, err := d.Accounts.AdminToken(ctx, email)
			if err != nil {
				return err
			}
			fmt.Fprintf(stdout, "%s/setup?token=%s\n", app.AsServed(core.Config).APIURL, token)
			fmt.Fprintln(stderr, "Open the link within an hour; it works once.")
			return nil
		}
		line, err := bufio.NewReader(io.LimitReader(password, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the password: %w", err)
		}
		u, err := d.Accounts.CreateAdmin(ctx, email, strings.TrimRight(line, "\r\n"))
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s\n", u.ID)
		fmt.Fprintln(stderr, "Administrator created. Next: rephlo apikey create --user", u.Email)
		return nil
	})
}

// createKey prints a new API key, the only time that it is shown.
func createKey(ctx context.Context, cfg config.Config, email string, n apikey.NewKey, stdout, stderr io.Writer) error {
	return withDomains(ctx, cfg, stderr, func(_ *app.Core, d *app.Domains) error {
		u, err := d.Accounts.ByEmail(ctx, email)
		if errors.Is(err, account.ErrUnknown) {
			return Exit(exitFailed, fmt.Errorf("nobody has the address %s; create an administrator with rephlo admin create %s", email, email))
		}
		if err != nil {
			return err
		}
		n.UserID = u.ID
		_, key, err := d.Keys.Create(ctx, n)
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, key.Reveal())
		return nil
	})
}
