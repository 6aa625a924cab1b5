// Package ui is what all pages share: the layout, the style sheet with its
// light and dark colours, the form parts, and the engine that renders a typed
// page with the right security headers.
//
// A page is a struct that embeds Page and a template of the same name that
// defines "main". Texts are looked up by key in one file per package, so that
// they can be translated; a key without a text, like a template that does not
// parse, stops the start. Pages are rendered in memory first, so a client never
// gets half of one.
//
// Nothing is loaded from other sites, and every page works without scripts.
package ui
