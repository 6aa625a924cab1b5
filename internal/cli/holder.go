package cli

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holderOf returns "process 812 (nginx)" for who listens on a TCP port, or ""
// where that cannot be told: on systems without /proc, or for another user's
// process.
func holderOf(port string) string {
	inode := listener("/proc/net/tcp", port)
	if inode == "" {
		inode = listener("/proc/net/tcp6", port)
	}
	if inode == "" {
		return ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		pid := strings.Split(link, "/")[2]
		name, _ := os.ReadFile("/proc/" + pid + "/comm") //nolint:gosec // a number found in /proc
		return fmt.Sprintf("process %s (%s)", pid, strings.TrimSpace(string(name)))
	}
	return ""
}

// listener returns the inode of the socket that listens on port (proc(5):
// state 0A is LISTEN, addresses are hexadecimal).
func listener(table, port string) string {
	n, err := strconv.Atoi(port)
	if err != nil {
		return ""
	}
	f, err := os.Open(table) //nolint:gosec // one of two constants
	if err != nil {
		return ""
	}
	defer f.Close()
	suffix := fmt.Sprintf(":%04X", n)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && fields[3] == "0A" && strings.HasSuffix(fields[1], suffix) {
			return fields[9]
		}
	}
	return ""
}
