package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/rephlo/rephlo/internal/config"
)

// commands is the tree of commands.
type commands struct {
	Serve    serveCommand     `cmd:"" help:"Run the Resource API and the Identity Provider."`
	Admin    adminCommands    `cmd:"" help:"Administrators."`
	Key      signingCommands  `cmd:"" help:"The keys that sign tokens."`
	Client   clientCommands   `cmd:"" help:"The OAuth clients that people sign in with."`
	Resource resourceCommands `cmd:"" help:"The APIs of others that take our tokens."`
	APIKey   keyCommands      `cmd:"" name:"apikey" help:"API keys."`
	Catalog  catalogCommands  `cmd:"" help:"Models and prices."`
	Ledger   ledgerCommands   `cmd:"" help:"The ledger of credits."`
	Migrate  migrateCommand   `cmd:"" help:"Bring the database's schema up to date, or show its steps."`
	Doctor   doctorCommand    `cmd:"" help:"Check this installation; every finding names its fix."`
	Config   configCommands   `cmd:"" help:"The settings."`
	Version  versionCommand   `cmd:"" help:"Print the version."`
}

// env is what a command runs with.
type env struct {
	ctx            context.Context
	flags          map[string]string
	file           string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// config reads the settings; all mistakes in them are one error.
func (e *env) config() (config.Config, error) {
	cfg, err := config.Load(config.Input{Flags: e.flags, File: e.file})
	if err != nil {
		return cfg, Exit(exitConfig, err)
	}
	return cfg, nil
}

// Run runs the command that args name (without the program's own name) and
// returns the exit status.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr}
	err := e.run(args)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(stderr, "rephlo: "+strings.ReplaceAll(err.Error(), "\n", "\nrephlo: "))
	}
	return statusOf(err)
}

func (e *env) run(args []string) error {
	args, err := e.settings(args)
	if err != nil {
		return Exit(exitUsage, err)
	}
	helped := false
	parser, err := kong.New(&commands{},
		kong.Name("rephlo"),
		kong.Writers(e.stdout, e.stderr), kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}), kong.Help(help),
		kong.Bind(e))
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if helped {
		return nil
	}
	if err != nil {
		return Exit(exitUsage, wrongUsage(err))
	}
	return command.Run(e)
}

// settings takes the flags that are settings out of args.
func (e *env) settings(args []string) (rest []string, err error) {
	type flag struct {
		name  string
		isSet bool // a switch: true without a value
	}
	known := map[string]flag{}
	for _, s := range config.Settings() {
		for _, name := range []string{s.Flag(), s.FileFlag()} {
			if name != "" {
				known["--"+name] = flag{name, s.Kind == "bool"}
			}
		}
	}
	e.flags = map[string]string{}
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(args[i], "=")
		f, ok := known[name]
		switch {
		case !ok && name != "--config":
			rest = append(rest, args[i])
			continue
		case !given && f.isSet:
			value = "true"
		case !given && i+1 == len(args):
			return nil, fmt.Errorf("%s needs a value", name)
		case !given:
			i++
			value = args[i]
		}
		if ok {
			e.flags[f.name] = value
		} else {
			e.file = value
		}
	}
	return rest, nil
}
