package e2e_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rephlo/rephlo/e2e"
)

// What the README tells a stranger to type is typed here, in an empty folder,
// on the ports that it names: from the start to a paid, streamed answer.
func TestReadme(t *testing.T) {
	program := e2e.Binary(t)
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	fences := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(fences) < 2 {
		t.Fatalf("%d blocks of commands, want those of the start and of the first call", len(fences))
	}
	typed := func(i int) string { return strings.ReplaceAll(fences[i][1], "go run ./cmd/rephlo", program) }
	if !strings.Contains(fences[0][1], "serve") {
		t.Fatalf("the first block does not start the program: %s", fences[0][1])
	}
	folder := t.TempDir()
	shell := func(script string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), "bash", "-euc", script)
		c.Dir = folder
		c.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "REPHLO_") })
		return c
	}
	var said bytes.Buffer
	serve := shell("exec " + typed(0))
	serve.Stdout, serve.Stderr = &said, &said
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = serve.Process.Signal(syscall.SIGTERM)
		if err := serve.Wait(); err != nil {
			t.Errorf("serve ended with %v\n%s", err, &said)
		}
	}()
	for range 200 {
		res, err := http.Get("http://localhost:7150/health/ready")
		if err == nil {
			_ = res.Body.Close()
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	out, err := shell(typed(1)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, &said)
	}
	for _, want := range []string{`"content":"Hell"`, "data: [DONE]", `"remainingCredits":999.99`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the commands do not show %s\n%s", want, out)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "data", "rephlo.db")); err != nil {
		t.Errorf("the data is not where the README says: %v", err)
	}
}
