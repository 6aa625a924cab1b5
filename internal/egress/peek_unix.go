//go:build unix

package egress

import "syscall"

// closedByPeer looks, without waiting, whether the server has closed an idle
// connection or says something nobody asked for.
func closedByPeer(cn *conn) bool {
	sc, ok := cn.raw.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	dead := false
	err = rc.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EAGAIN || err == syscall.EINTR:
		case err != nil || n == 0:
			dead = true
		default:
			// Under TLS this may be a session ticket; in the clear it is the
			// answer to nothing.
			dead = cn.to.serverName == ""
		}
	})
	return dead || err != nil
}
