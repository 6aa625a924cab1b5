// Package sse reads and writes event streams (WHATWG HTML, section 9.2) within
// bounds, for answers that are translated. Streams that are forwarded as they
// are go through package relay instead.
package sse
