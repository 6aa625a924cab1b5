package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that listens.
type process struct {
	cmd  *exec.Cmd
	addr string
	log  string // the file with what it prints
	done chan error
}

// start runs a program, with env added to its environment, and waits until addr accepts connections.
func start(ctx context.Context, env []string, program, addr string, args ...string) (*process, error) {
	log, err := os.CreateTemp(filepath.Dir(program), filepath.Base(program)+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{cmd: exec.CommandContext(ctx, program, args...), addr: addr, log: log.Name(), done: make(chan error, 1)}
	p.cmd.Env = append(environment(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log // the file itself: no pipe that we would have to empty
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.done <- p.cmd.Wait() }()
	for range 400 {
		select {
		case err := <-p.done:
			p.done <- err
			return nil, fmt.Errorf("%s ended: %w\n%s", filepath.Base(program), err, p.said())
		case <-time.After(25 * time.Millisecond):
		}
		if c, err := net.Dial("tcp", addr); err == nil {
			return p, c.Close()
		}
	}
	_ = p.stop(syscall.SIGKILL)
	return nil, fmt.Errorf("%s does not listen on %s\n%s", filepath.Base(program), addr, p.said())
}

// said returns the last of what the process printed.
func (p *process) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(len(text)-4096, 0):])
}

// environment is ours without what configures rephlo.
func environment() []string {
	var out []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "REPHLO_") && !strings.HasPrefix(v, "DATABASE_URL=") {
			out = append(out, v)
		}
	}
	return out
}

// stop sends a signal and waits for the end.
func (p *process) stop(s syscall.Signal) error {
	_ = p.cmd.Process.Signal(s)
	select {
	case err := <-p.done:
		p.done <- err
		return err
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("%s did not stop within 30 s", filepath.Base(p.cmd.Path))
	}
}

// ticks are how often a second the kernel counts CPU time; Linux reports in
// hundredths whatever its own rate is.
const ticks = 100

// cpu returns the user and system time that the process has used.
func cpu(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in brackets, may hold anything; fields 14 and 15 count after it.
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticks
}

// rss returns the resident memory of the process in MiB.
func rss(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(text))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return float64(pages*int64(os.Getpagesize())) / (1 << 20)
}

// machineCPU returns the time that all processors have worked, and what they
// could have: their idle time added.
func machineCPU() (worked, possible time.Duration) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, f := range strings.Fields(line)[1:] {
		n, _ := strconv.ParseInt(f, 10, 64)
		if i >= 8 {
			break // guests are counted as user time already
		}
		t := time.Duration(n) * time.Second / ticks
		possible += t
		if i != 3 && i != 4 { // idle, waiting for the disk
			worked += t
		}
	}
	return worked, possible
}

// postgresCPU returns what all PostgreSQL processes have used. They are not
// ours to know by id: a connection is a process.
func postgresCPU() time.Duration {
	var sum time.Duration
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || !strings.HasPrefix(string(text), "postgres") {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		sum += cpu(pid)
	}
	return sum
}

// freeAddrs returns loopback addresses that nobody listens on.
func freeAddrs(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out, nil
}
