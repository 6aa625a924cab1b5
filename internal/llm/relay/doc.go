// Package relay is the same-dialect hot path of OpenAI chat completions: it
// looks at a request and edits byte ranges of it, forwards an answer byte for
// byte, and reads from it only what is charged.
//
// ScanChat accepts exactly what a strict JSON parser accepts, with object names
// unique at the top level, in one pass without decoding. Apply then splices the
// few allowed edits around the client's own bytes. Stream cuts a vendor's event
// stream into whole, checked events. All other bytes stay as they are, so a
// vendor's new field works the day it appears.
package relay
