// Command mutants breaks the guards of the ledger, one at a time, and says
// whether the test that is named for each notices. The source is not touched:
// Go builds with a changed copy of one file in its place.
//
//	make mutants
//	make mutants ARGS="-run fence"
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

func main() {
	only := flag.String("run", "", "only mutants whose description matches")
	parallel := flag.Int("p", 2, "mutants at the same time")
	flag.Parse()
	if err := run(*only, *parallel); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // a program of its own
	}
}

func run(only string, parallel int) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var chosen []mutant
	for _, m := range mutants {
		if wanted.MatchString(m.what) {
			chosen = append(chosen, m)
		}
	}
	began := time.Now() //nolint:forbidigo // how long it took
	if err := passes(root, chosen); err != nil {
		return err
	}
	bad := make([]error, len(chosen))
	next := make(chan int)
	var running sync.WaitGroup
	for range parallel {
		running.Go(func() {
			for i := range next {
				start := time.Now() //nolint:forbidigo // how long it took
				bad[i] = try(root, filepath.Join(dir, fmt.Sprint(i)), chosen[i])
				word := "killed"
				if bad[i] != nil {
					word = "ALIVE "
				}
				fmt.Printf("%s %5.1f s  %s\n", word, time.Since(start).Seconds(), chosen[i].what)
			}
		})
	}
	for i := range chosen {
		next <- i
	}
	close(next)
	running.Wait()
	err = errors.Join(bad...)
	fmt.Printf("%d mutants in %.0f s\n", len(chosen), time.Since(began).Seconds())
	return err
}

// moduleRoot returns the folder with go.mod.
func moduleRoot() (string, error) {
	out, err := exec.CommandContext(context.Background(), "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// passes reports an error unless every named test passes on the real source: a
// test that fails anyway notices nothing.
func passes(root string, ms []mutant) error {
	byPackage := map[string][]string{}
	for _, m := range ms {
		byPackage[m.pkg] = append(byPackage[m.pkg], "^"+strings.Split(m.test, "/")[0]+"$")
	}
	for pkg, tests := range byPackage {
		if out, err := goTest(root, "", pkg, strings.Join(tests, "|")); err != nil {
			return fmt.Errorf("without a mutation: %w\n%s", err, out)
		}
	}
	return nil
}

// try returns an error unless m's test fails with m.
func try(root, dir string, m mutant) error {
	source := filepath.Join(root, filepath.FromSlash(m.file))
	text, err := os.ReadFile(source) //nolint:gosec // from the table of this program
	if err != nil {
		return err
	}
	changed, err := m.apply(text)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	mutated := filepath.Join(dir, filepath.Base(source))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: mutated}})
	if err != nil {
		return err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := errors.Join(os.WriteFile(mutated, changed, 0o600), os.WriteFile(list, overlay, 0o600)); err != nil { //nolint:gosec // in a folder of our own
		return err
	}
	parts := strings.Split(m.test, "/")
	for i := range parts {
		parts[i] = "^" + parts[i] + "$"
	}
	out, err := goTest(root, list, m.pkg, strings.Join(parts, "/"))
	switch {
	case err == nil:
		return fmt.Errorf("%s (%s): %s does not notice", m.what, m.file, m.test)
	case bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")):
		return fmt.Errorf("%s (%s): does not compile\n%s", m.what, m.file, out)
	case !bytes.Contains(out, []byte("--- FAIL: "+strings.Split(m.test, "/")[0])) && !bytes.Contains(out, []byte("panic: ")):
		return fmt.Errorf("%s (%s): %s did not run: %w\n%s", m.what, m.file, m.test, err, out)
	}
	return nil
}

func goTest(root, overlay, pkg, tests string) ([]byte, error) {
	args := []string{"test", "-count", "1", "-vet", "off", "-timeout", "90s", "-run", tests, "-ldflags", "-s -w"}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	c := exec.CommandContext(context.Background(), "go", append(args, "./"+pkg)...) //nolint:gosec // from the table of this program
	c.Dir = root
	// The guards are the same on both engines: SQLite alone is enough, also
	// where the tests insist on PostgreSQL.
	c.Env = append(os.Environ(), "CI=")
	return c.CombinedOutput()
}

// apply returns text with the mutation.
func (m mutant) apply(text []byte) ([]byte, error) {
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s: %s has %q %d times, want once: correct the table of mutants", m.what, m.file, m.old, n)
	}
	return bytes.Replace(text, []byte(m.old), []byte(m.with), 1), nil
}
