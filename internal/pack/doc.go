// Package pack is the price list of credit packs: credits that are had once,
// beside those of a plan, and last longer.
//
// A pack says what it gives and costs; who has the credits of one is in the
// ledger, as a grant whose source is "pack". What a pack gave stays when it is
// changed or taken off the list. Taking packs off is all: nothing is deleted,
// so what somebody got can always be looked up.
//
// Tables: pack_item.
package pack
