// Command rephlo is the whole product: see internal/cli for its commands.
package main

import (
	"context"
	"os"

	"github.com/rephlo/rephlo/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
