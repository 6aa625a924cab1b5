//go:build !linux

package spool

import "os"

// preallocate gives f size bytes on the disk.
func preallocate(f *os.File, size int64) error { return zeros(f, size) }
