// Package wire appends JSON. Requests to vendors and events to clients are
// written with it field by field, in a fixed order: the same values are the
// same bytes, which a vendor's prompt cache needs, and nothing is reflected on.
//
//	b = append(b, '{')
//	b = wire.String(b, "type", "text")
//	b = wire.Name(b, "list")
//	b = append(b, '[')
//	b = wire.Next(b)
//	…
//	b = append(b, "]}"...)
package wire
