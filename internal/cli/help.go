package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/rephlo/rephlo/internal/config"
)

// help prints the help of a command, or for the program itself one screen with
// an example first and the next command last.
func help(o kong.HelpOptions, ctx *kong.Context) error {
	if ctx.Selected() != nil {
		return kong.DefaultHelpPrinter(o, ctx)
	}
	var b strings.Builder
	b.WriteString("Example: rephlo serve --data ./data\n\nRephlo sells and shares access to language models: gateway, ledger and sign-in.\n\n")
	for _, c := range ctx.Model.Children {
		fmt.Fprintf(&b, "  %-8s  %s\n", c.Name, c.Help)
	}
	b.WriteString("\nSettings, for every command; each also as REPHLO_NAME in the environment:\n")
	for _, s := range config.Settings() {
		if s.Common {
			first, _, _ := strings.Cut(s.Help, ". ")
			b.WriteString(settingHelp(s.Flag(), strings.TrimSuffix(first, ".")+"."))
		}
	}
	b.WriteString(settingHelp("config FILE", "File with such settings, one NAME=value a line.") + "\n")
	b.WriteString("Next: rephlo COMMAND --help, or rephlo config print for all settings.\n")
	_, err := fmt.Fprint(ctx.Stdout, b.String())
	return err
}

// settingHelp is a flag with what it is for: beside it where 80 columns are
// enough, else below.
func settingHelp(flag, text string) string {
	if line := fmt.Sprintf("  --%-14s  %s\n", flag, text); len(line) <= 80 {
		return line
	}
	return fmt.Sprintf("  --%s\n      %s\n", flag, text)
}

// wrongUsage says what is wrong with a command line and what to do about it.
// The flags that are settings are unknown to the parser, so it cannot suggest
// them.
func wrongUsage(err error) error {
	text := err.Error()
	if flag, unknown := strings.CutPrefix(text, "unknown flag --"); unknown && !strings.Contains(text, "did you mean") {
		flag, _, _ = strings.Cut(flag, "=")
		if near := config.Nearest(flag, settingFlags()); near != "" {
			text += fmt.Sprintf(", did you mean %q?", "--"+near)
		}
	}
	if !strings.HasSuffix(text, "?") {
		text += "."
	}
	return errors.New(text + " rephlo --help lists the commands")
}

func settingFlags() []string {
	names := []string{"config"}
	for _, s := range config.Settings() {
		for _, name := range []string{s.Flag(), s.FileFlag()} {
			if name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}
