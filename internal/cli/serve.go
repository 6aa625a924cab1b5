package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/rephlo/rephlo/internal/app"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/obs"
)

// stopLimit is how long a stop may take in all, beyond the configured times.
const stopLimit = 30 * time.Second

// sameSignal is how soon after a signal another one is the same wish.
const sameSignal = 10 * time.Millisecond

// gcPercent trades memory for CPU: the heap is small beside what a machine
// has, and collecting it less often costs less per call.
const gcPercent = 400

// serve runs both services until a signal.
func serve(ctx context.Context, cfg config.Config, stdout, stderr io.Writer) error {
	started := time.Now() //nolint:forbidigo // for the start-up line only
	debug.SetGCPercent(gcPercent)
	log := obs.New(stderr, obs.Options{Format: cfg.LogFormat, Level: cfg.LogLevel}, time.Now) //nolint:forbidigo // the log's own clock
	defer func() {
		flush, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = log.Close(flush)
	}()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)

	core, err := app.NewCore(ctx, cfg, log.Logger)
	if err != nil {
		return explain(cfg, err)
	}
	server, err := app.NewServer(ctx, core)
	if err != nil {
		return errors.Join(explain(cfg, err), core.Close())
	}
	if err := server.Start(ctx); err != nil {
		return errors.Join(explain(cfg, err), stop(server, cfg, signals))
	}
	link, err := server.SetupLink(ctx)
	if err != nil {
		return errors.Join(explain(cfg, err), stop(server, cfg, signals))
	}
	banner(stdout, core, link, time.Since(started))

	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- server.Wait(wait) }()
	select {
	case <-signals:
		fmt.Fprintln(stderr, "rephlo: stopping; running calls are finished first. A second signal stops at once; nothing is lost by that.")
	case err = <-ended:
		err = classify(err)
	case <-ctx.Done():
	}
	return errors.Join(err, stop(server, cfg, signals))
}

// stop drains the server. A second signal ends the process at once: what is
// open is settled from its journal at the next start.
func stop(server *app.Server, cfg config.Config, signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), cfg.ShutdownDelay+cfg.DrainTimeout+stopLimit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- server.Stop(ctx) }()
	// Some senders signal the process and its group: that is one wish, not two.
	same := time.NewTimer(sameSignal)
	defer same.Stop()
	for again := false; ; {
		select {
		case err := <-done:
			return err
		case <-same.C:
			again = true
			continue
		case <-signals:
			if !again {
				continue
			}
		}
		return Exit(130, errors.New("stopped at once by a second signal; open calls are settled at the next start"))
	}
}

// banner says where things are and what to do next.
func banner(w io.Writer, core *app.Core, setupLink string, took time.Duration) {
	cfg := core.Config
	state := ""
	if core.Fresh {
		state = ", new"
	}
	where := "SQLite"
	if cfg.Postgres() {
		where = "PostgreSQL"
	}
	fmt.Fprintf(w, "Rephlo %s   data %s (%s%s)   ready in %.1f s\n", app.Version(), cfg.Data, where, state, took.Seconds())
	fmt.Fprintf(w, "  API       %s\n  Identity  %s\n", cfg.APIURL, cfg.IDPURL)
	if setupLink != "" {
		fmt.Fprintf(w, "  Set up →  %s   (works once, 1 hour; another: restart, or rephlo admin create EMAIL)\n", setupLink)
	}
	if cfg.OpenAIAPIKey.Empty() && len(cfg.Providers) == 0 {
		fmt.Fprint(w, "No provider yet: the test models are on. ")
	}
	fmt.Fprintf(w, "Ctrl-C stops; your data stays in %s.\n", cfg.Data)
}

// explain gives an error of the start the exit status and the sentence that
// says what to do.
func explain(cfg config.Config, err error) error {
	if busy, ok := errors.AsType[*net.OpError](err); ok && errors.Is(err, syscall.EADDRINUSE) {
		return Exit(exitMissing, inUse(cfg, busy.Addr))
	}
	return classify(err)
}

// inUse names who holds a port, as far as this user may see it.
func inUse(cfg config.Config, addr net.Addr) error {
	_, port, _ := net.SplitHostPort(addr.String())
	flag := "--api-addr"
	if _, idp, _ := net.SplitHostPort(cfg.IDPAddr); idp == port {
		flag = "--idp-addr"
	}
	if _, ops, err := net.SplitHostPort(cfg.OpsAddr); err == nil && ops == port {
		flag = "--ops-addr"
	}
	holder := holderOf(port)
	if holder != "" {
		holder = " by " + holder
	}
	return fmt.Errorf("port %s is in use%s. Choose another with %s :PORT, or stop what uses it", port, holder, flag)
}
